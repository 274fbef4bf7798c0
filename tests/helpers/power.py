# SPDX-License-Identifier: GPL-2.0-or-later
"""What may be on a disk after a power failure at any moment of a program.

``strace`` lists what a program writes to a database and its write-ahead log,
and what it syncs. A disk keeps what was synced. Of what was written since, it
keeps any part: all, nothing, or some sectors, in any order. The same is true of
new and removed names in a directory until that is synced.
"""

from __future__ import annotations

import os
import pathlib
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

from hgext3rd.amalgam import sidefiles

# Disks write a sector completely or not at all.
SECTOR = 512

CALLS = ('openat', 'write', 'pwrite64', 'ftruncate', 'fdatasync', 'fsync')

_CALL = re.compile(r'(\w+)\((.*)\) += (-?\d+)')
_FD = re.compile(r'(?:AT_FDCWD|\d+)<([^>]*)>')
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


class Call(NamedTuple):
    """A system call: its name, a path, bytes written, and a number.

    The number is the offset of a write, or the size of a truncated file.
    """

    name: str
    path: str
    data: bytes = b''
    number: int = 0


def trace(code: str, arguments: list[str], log: pathlib.Path) -> list[Call]:
    """Run Python code, and return its system calls that change files."""
    calls = ','.join((*CALLS, '?unlink', '?unlinkat', '?rename', '?renameat2'))
    command = ['strace', '-y', '-xx', '-s', '100000000', '-o', str(log)]
    subprocess.run(
        [*command, '-e', f'trace={calls}', sys.executable, '-B', '-c', code]
        + arguments,
        cwd=pathlib.Path(__file__).parent.parent,
        check=True,
    )
    with open(log, encoding='ascii') as lines:
        return [call for line in lines for call in _parse(line)]


def _parse(line: str) -> Iterator[Call]:
    match = _CALL.match(line)
    if match is None or int(match[3]) < 0:
        return
    name, arguments, result = match.groups()
    strings = [_bytes(found) for found in _STRING.findall(arguments)]
    if name in ('openat', 'unlink', 'unlinkat'):
        if name == 'openat' and 'O_CREAT' not in arguments:
            return
        yield Call('create' if name == 'openat' else 'unlink', _text(strings))
        return
    if name.startswith('rename'):
        yield Call('rename', _text(strings[-1:]))
        return
    found = _FD.match(arguments)
    assert found is not None, line
    path = _bytes(found[1]).decode() if '\\x' in found[1] else found[1]
    if name in ('fsync', 'fdatasync'):
        yield Call('sync', path)
    elif name == 'ftruncate':
        yield Call(name, path, number=int(arguments.rpartition(', ')[2]))
    elif name == 'pwrite64':
        offset = int(arguments.rpartition(', ')[2])
        data = strings[0]
        yield Call('write', path, data[: int(result)], offset)
    else:
        # Where it writes does not matter, since SQLite uses pwrite64.
        yield Call('write', path, strings[0], -1)


def _bytes(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace('\\x', ''))


def _text(strings: list[bytes]) -> str:
    return os.fsdecode(strings[0])


class Disk:
    """The database ``path`` and its log, as they may be after a failure."""

    def __init__(self, path: pathlib.Path, seed: int) -> None:
        self.path = str(path)
        self.log = sidefiles.beside(self.path, sidefiles.LOG)
        self._directory = str(path.parent)
        self._random = random.Random(seed)
        self._synced = {self.path: path.read_bytes()}
        # Of each file: the calls since it was synced.
        self._pending: dict[str, list[Call]] = {self.path: [], self.log: []}
        # Whether the name of the log is on the disk, or was, since the
        # directory was synced.
        self._names = {False}
        self._has_log = False
        self.syncs: list[str] = []

    def apply(self, call: Call) -> bool:
        """Note a call; return whether it concerns the database."""
        if call.name == 'sync' and call.path == self._directory:
            self._names = {self._has_log}
            self.syncs.append('directory')
            return True
        if call.path not in self._pending:
            return False
        if call.name == 'create':
            if self._has_log or call.path != self.log:
                return False
            self._synced[self.log] = b''
            self._pending[self.log] = []
            self._has_log = True
            self._names.add(True)
        elif call.name == 'unlink':
            assert call.path == self.log
            self._has_log = False
            self._names.add(False)
        elif call.name == 'sync':
            self._synced[call.path] = self._changed(call.path, 'all')
            self._pending[call.path] = []
            self.syncs.append('log' if call.path == self.log else 'database')
        else:
            assert call.number >= 0
            self._pending[call.path].append(call)
        return True

    def _changed(self, path: str, how: str) -> bytes:
        """Return a file with all, no or some changes since it was synced."""
        data = bytearray(self._synced[path])
        if how == 'none':
            return bytes(data)
        for call in self._pending[path]:
            if call.name == 'ftruncate':
                if how == 'all' or self._random.random() < 0.5:
                    data[call.number :] = b''
                    data.extend(bytes(call.number - len(data)))
                continue
            if how == 'calls' and self._random.random() < 0.5:
                continue
            for start, part in _sectors(call):
                if how == 'sectors' and self._random.random() < 0.5:
                    continue
                data.extend(bytes(max(0, start + len(part) - len(data))))
                data[start : start + len(part)] = part
        return bytes(data)

    def states(self, number: int) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield possible contents of the database and the log (or None)."""
        ways = ('all', 'none', 'calls', 'sectors')
        for has_log in sorted(self._names):
            for _ in range(number):
                how = self._random.choices(ways, k=2)
                database = self._changed(self.path, how[0])
                log = self._changed(self.log, how[1]) if has_log else None
                yield database, log


def _sectors(call: Call) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, bytes) of each sector that a call writes to."""
    start, end = call.number, call.number + len(call.data)
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        yield start, call.data[start - call.number : stop - call.number]
        start = stop
