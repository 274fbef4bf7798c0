# SPDX-License-Identifier: GPL-2.0-or-later
"""Keep the results of test files between runs.

``results.jsonl`` has one line for each run of a file.  The line is appended
when the file is done, so an interruption loses only the files that were
running.  If a file has several lines, the last one counts.
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
    """The cases of one file, and the fingerprint of the code they ran with."""

    cases: tuple[Case, ...]
    code: str


class Results:
    """The results of all files on one side: with the backend or without it."""

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
            # An interruption cut the line off. The file will run again.
            return
        cases = tuple(Case(**case) for case in data['cases'])
        self.entries[data['file']] = Entry(cases, data['code'])

    def add(self, name: str, cases: list[Case], code: str) -> None:
        """Add the cases of the file ``name``, which ran with ``code``."""
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
        """Return the result of a case, None if it has not run."""
        entry = self.entries.get(name.split('#')[0])
        for case in entry.cases if entry else ():
            if case.name == name:
                return case
        return None

    def output(self, name: str) -> str | None:
        """Return the output of a case that failed, None for other cases."""
        path = self.outputs / f'{name}.err'
        if not path.exists():
            return None
        return path.read_text(encoding='utf-8', errors='surrogateescape')


def fingerprint() -> str:
    """Return a short hash of the backend's present source code."""
    digest = hashlib.sha256()
    for package in ('amalgam', 'sqlitestore'):
        for path in sorted((ROOT / 'hgext3rd' / package).rglob('*.py')):
            digest.update(path.name.encode() + b'\0' + path.read_bytes())
    return digest.hexdigest()[:12]
