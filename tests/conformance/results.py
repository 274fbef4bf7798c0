# SPDX-License-Identifier: GPL-2.0-or-later
"""What is remembered between runs: the results of each file, one a line.

A line is appended when a file is done, so an interruption loses only what was
running.  The last line of a file counts.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
import threading
from dataclasses import dataclass

from suite import ROOT, Case


@dataclass(frozen=True)
class Entry:
    """The cases of one file and the state of our code they were run with."""

    cases: tuple[Case, ...]
    code: str


class Results:
    """Results of one side: with the backend or without."""

    def __init__(self, folder: pathlib.Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.outputs = folder
        self._log = folder / 'results.jsonl'
        self._lock = threading.Lock()
        self.entries: dict[str, Entry] = {}
        if self._log.exists():
            for line in self._log.read_text(encoding='utf-8').splitlines():
                self._read(line)

    def _read(self, line: str) -> None:
        try:
            data = json.loads(line)
        except ValueError:
            return  # cut off by an interruption: the file runs again
        cases = tuple(Case(**case) for case in data['cases'])
        self.entries[data['file']] = Entry(cases, data['code'])

    def add(self, name: str, cases: list[Case], code: str) -> None:
        """Remember the cases of file ``name``."""
        data = {
            'file': name,
            'code': code,
            'cases': [case.as_json() for case in cases],
        }
        with self._lock:
            with self._log.open('a', encoding='utf-8') as log:
                log.write(json.dumps(data) + '\n')
            self.entries[name] = Entry(tuple(cases), code)

    def case(self, name: str) -> Case | None:
        """Return the result of a case, if it has one."""
        entry = self.entries.get(name.split('#')[0])
        for case in entry.cases if entry else ():
            if case.name == name:
                return case
        return None

    def output(self, name: str) -> str | None:
        """Return what a case printed, if it failed by that."""
        path = self.outputs / f'{name}.err'
        if not path.exists():
            return None
        return path.read_text(encoding='utf-8', errors='surrogateescape')


def fingerprint() -> str:
    """Return a name for the present state of the backend's code."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / 'hgext3rd' / 'sqlitestore').rglob('*.py')):
        digest.update(path.name.encode() + b'\0' + path.read_bytes())
    return digest.hexdigest()[:12]
