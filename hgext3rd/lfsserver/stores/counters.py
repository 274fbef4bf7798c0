# SPDX-License-Identifier: GPL-2.0-or-later
"""Counts of what the processes of a server have done for a repository.

Each process counts in a file of its own, which it maps into memory and keeps
locked: counting takes a microsecond. A reader adds up all files. It moves the
counts of processes that have ended to the file of totals. Nothing here knows
what is counted, HTTP or Mercurial.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import secrets
import struct
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress

from .files import PRIVATE, FileCreator, names_in

# The file of the counts of processes that have ended. Its lock is held while
# files are added up.
TOTALS = 'totals'

_PREFIX = 'process-'


class Counters:
    """Counts by name, in files of ``folder``; threads may share it.

    ``names`` never change their order: new ones are added at the end. If the
    files cannot be written, only this process is counted. ``creator`` creates
    them.
    """

    def __init__(
        self, folder: str, names: Sequence[str], creator: FileCreator = PRIVATE
    ) -> None:
        self._folder = folder
        self._creator = creator
        self._places = {name: place for place, name in enumerate(names)}
        self._format = struct.Struct(f'<{len(names)}Q')
        self._lock = threading.Lock()
        self._pid = -1
        self._counts = [0] * len(names)
        self._map: mmap.mmap | None = None

    def add(self, counts: Mapping[str, int]) -> None:
        """Add to counts."""
        with self._lock:
            if self._pid != os.getpid():
                self._begin()
            for name, count in counts.items():
                self._counts[self._places[name]] += count
            if self._map is not None:
                self._format.pack_into(self._map, 0, *self._counts)

    def _begin(self) -> None:
        """Create the file of this process."""
        self._pid = os.getpid()
        self._counts = [0] * len(self._places)
        self._map = None
        name = secrets.token_hex(8)
        hidden = os.path.join(self._folder, f'.{name}')
        with suppress(OSError):
            self._creator.make_directories(self._folder)
            fd = os.open(
                hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
            )
            try:
                os.fchmod(fd, self._creator.file_mode)
                os.ftruncate(fd, self._format.size)
                fcntl.flock(fd, fcntl.LOCK_EX)
                self._map = mmap.mmap(fd, self._format.size)
                os.rename(hidden, os.path.join(self._folder, _PREFIX + name))
            except BaseException:
                os.unlink(hidden)
                os.close(fd)
                raise
            # The descriptor stays open, and with it the lock, until the process
            # ends. A child has the lock too, but counts elsewhere.

    def read(self) -> dict[str, int]:
        """Return the counts of all processes."""
        try:
            sums = self._sums()
        except OSError:
            with self._lock:
                own = self._pid == os.getpid()
                sums = list(self._counts) if own else [0] * len(self._places)
        return {name: sums[place] for name, place in self._places.items()}

    def _sums(self) -> list[int]:
        path = os.path.join(self._folder, TOTALS)
        self._creator.make_file(path)
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            ended = self._parsed(os.pread(fd, self._format.size, 0))
            running = [0] * len(ended)
            paths = []
            for name in names_in(self._folder):
                if not name.startswith(_PREFIX):
                    continue
                other = os.path.join(self._folder, name)
                counts, runs = self._look(other)
                for place, count in enumerate(counts):
                    (running if runs else ended)[place] += count
                if not runs:
                    paths.append(other)
            if paths:
                os.pwrite(fd, self._format.pack(*ended), 0)
                for other in paths:
                    os.unlink(other)
            return [a + b for a, b in zip(ended, running, strict=True)]
        finally:
            os.close(fd)

    def _parsed(self, data: bytes) -> list[int]:
        """Return counts; those that an earlier version did not have are 0."""
        whole = data[: self._format.size].ljust(self._format.size, b'\0')
        return list(self._format.unpack(whole))

    def _look(self, path: str) -> tuple[list[int], bool]:
        """Return the counts of a process, and whether it still runs."""
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
                runs = False
            except BlockingIOError:
                runs = True
            return self._parsed(os.pread(fd, self._format.size, 0)), runs
        finally:
            os.close(fd)
