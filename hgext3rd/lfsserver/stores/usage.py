# SPDX-License-Identifier: GPL-2.0-or-later
"""How many bytes a store holds, at a cost that does not grow with each question.

Uploads in progress count with what has arrived. Nothing here knows limits.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from ..formats.oids import is_oid
from .files import names_in, translated_errors

# Seconds after its modification during which a directory may change again
# without getting another modification time: a tick of the kernel's clock, or
# the resolution of file systems that keep whole seconds.
_TICK = 0.1
_SECOND = 2.0

# Seconds for which the listing of an object store is used. Listing a million
# objects takes a thousand requests.
LISTING_LIFETIME = 60.0


class Usage(Protocol):
    """Counts the bytes of a store."""

    def total(self, running: Collection[str]) -> int:
        """Return the bytes of blobs, and of uploads in progress.

        The parts of uploads of the oids ``running`` are left out. Raises
        StoreUnavailable.
        """

    def count(self) -> int:
        """Return the number of blobs when ``total`` was last called."""

    def expect(self, oid: str, size: int, until: float) -> None:
        """Count a blob that the store gets, or just got, with its size.

        ``until`` is the POSIX time after which it does not count if it has not
        arrived.
        """


@dataclass(frozen=True, slots=True)
class Shard:
    """The number and bytes of the blobs in a directory, as of a moment.

    ``mtime`` is the modification time that the directory had at that moment.
    ``parts`` are the names of uploads in progress, which do not count in
    ``size``, with their oids. ``settled`` says whether any change gives it another
    time.
    """

    mtime: int
    count: int
    size: int
    parts: Mapping[str, str]
    settled: bool


class LocalUsage:
    """The bytes below a directory that has shards as core's lfs extension has.

    A shard is read again only when its modification time has changed. Threads
    may share an instance. ``part_oid`` returns the oid of an upload that can be
    resumed: it takes the names of the directory and of the file, and returns
    None for other files.
    """

    def __init__(
        self, objects: str, part_oid: Callable[[str, str], str | None]
    ) -> None:
        self._objects = objects
        self._part_oid = part_oid
        self._shards: dict[str, Shard] = {}
        self._lock = threading.Lock()

    def total(self, running: Collection[str]) -> int:
        """See Usage."""
        with translated_errors(), self._lock:
            shards = {
                name: self._shard(name)
                for name in names_in(self._objects)
                if len(name) == 2
                and os.path.isdir(os.path.join(self._objects, name))
            }
            self._shards = shards
            size = sum(shard.size for shard in shards.values())
            for name, shard in shards.items():
                for part, oid in shard.parts.items():
                    if oid not in running:
                        path = os.path.join(self._objects, name, part)
                        with suppress(FileNotFoundError):
                            size += os.stat(path).st_size
            return size

    def _shard(self, name: str) -> Shard:
        path = os.path.join(self._objects, name)
        state = os.stat(path)
        known = self._shards.get(name)
        if known and known.settled and known.mtime == state.st_mtime_ns:
            return known
        coarse = state.st_mtime_ns % 1_000_000_000 == 0
        age = time.time() - state.st_mtime
        count = 0
        size = 0
        parts = {}
        with os.scandir(path) as entries:
            for entry in entries:
                oid = self._part_oid(name, entry.name)
                if oid is not None:
                    parts[entry.name] = oid
                # Reservations count other uploads that have not ended.
                elif is_oid(name + entry.name):
                    with suppress(FileNotFoundError):
                        size += entry.stat().st_size
                        count += 1
        settled = age > (_SECOND if coarse else _TICK)
        return Shard(state.st_mtime_ns, count, size, parts, settled)

    def count(self) -> int:
        """See Usage."""
        with self._lock:
            return sum(shard.count for shard in self._shards.values())

    def expect(self, oid: str, size: int, until: float) -> None:
        """See Usage; the directories tell."""


class ListedUsage:
    """The bytes of a store that can only be listed, and not often.

    ``listing`` returns the oids and sizes of blobs, and those of uploads in
    progress. Between two listings, only what this process stored is added.
    Threads may share an instance.
    """

    def __init__(
        self,
        listing: Callable[[], tuple[dict[str, int], Iterable[tuple[str, int]]]],
    ) -> None:
        self._listing = listing
        self._parts: list[tuple[str, int]] = []
        self._size = 0
        self._count = 0
        self._listed = float('-inf')
        self._expected: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def total(self, running: Collection[str]) -> int:
        """See Usage."""
        with self._lock:
            if time.monotonic() - self._listed > LISTING_LIFETIME:
                blobs, parts = self._listing()
                self._parts = list(parts)
                self._size = sum(blobs.values())
                self._count = len(blobs)
                now = time.time()
                self._expected = {
                    oid: (size, until)
                    for oid, (size, until) in self._expected.items()
                    if oid not in blobs and until > now
                }
                self._listed = time.monotonic()
            expected = sum(
                size
                for oid, (size, _until) in self._expected.items()
                if oid not in running
            )
            parts_size = sum(
                size
                for oid, size in self._parts
                if oid not in running and oid not in self._expected
            )
            return self._size + expected + parts_size

    def count(self) -> int:
        """See Usage."""
        with self._lock:
            return self._count + len(self._expected)

    def expect(self, oid: str, size: int, until: float) -> None:
        """See Usage."""
        with self._lock:
            self._expected[oid] = (size, until)
