# SPDX-License-Identifier: GPL-2.0-or-later
"""The interface of a cacher: a store of bytes under keys, and nothing more.

A cacher does not know what it holds, when it becomes invalid (keys change
instead) or what a command is. Modules of other distributions implement the
same interface and are found by the entry point group ``amalgam.cachers``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

#: Entry point group of cachers that other distributions provide.
ENTRY_POINT_GROUP = 'amalgam.cachers'


class CacherError(Exception):
    """A cacher cannot do what was asked; ``str()`` is one line for a log.

    Raised for a store that is unreachable, full or refuses. The caller treats
    it as a miss. A key that is absent is not an error.
    """


class CacherConfigError(CacherError):
    """The configuration of a cacher is wrong or a package is missing."""


@dataclass(frozen=True, slots=True)
class Target:
    """A place clients may be redirected to, as capabilities announce it.

    ``name`` identifies it, ``protocol`` is ``http`` or ``https``, ``uris``
    are URL prefixes every location lies below.
    """

    name: bytes
    protocol: bytes
    uris: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Location:
    """Where a client fetches one body itself.

    ``size`` and ``sha256`` (the digest, 32 bytes) are of the body as stored.
    """

    url: bytes
    size: int
    sha256: bytes


class Cacher(Protocol):
    """Where entries are kept.

    ``key`` is 40 lower-case hexadecimal digits. Methods are called from
    several threads at once and raise only ``CacherError``.
    """

    def get(self, key: bytes) -> bytes | None:
        """Return the bytes last put under ``key``, or None."""

    def head(self, key: bytes, size: int) -> bytes | None:
        """Return the first ``size`` bytes under ``key``, or None.

        Without moving the rest, where the store can do that.
        """

    def put(self, key: bytes, data: bytes) -> None:
        """Keep ``data`` under ``key``, at once or not at all.

        A cacher may decline silently (data larger than all its room) and may
        forget what it holds at any time.
        """

    def lease(self, key: bytes) -> AbstractContextManager[None]:
        """Enter when no other process computes ``key``, or after a while.

        Best effort: two holders cost time, never correctness.
        """

    def targets(self) -> tuple[Target, ...]:
        """Return where clients may be sent for bodies; mostly nowhere."""

    def locate(self, key: bytes) -> Location | None:
        """Return where a client can fetch the body of ``key``, or None."""

    def close(self) -> None:
        """Release what is held; the cacher is not used afterwards."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a cacher is made from; the config section ``[wireprotov2]``.

    ``get(name, default)`` returns the value of ``cacher.<name>`` as bytes,
    ``get_size(name, default)`` one in bytes with a unit (``2 GB``) as a
    number, ``get_bool(name, default)`` a boolean; ``folder`` is the
    repository's cache folder.
    """

    get: Callable[[bytes, bytes | None], bytes | None]
    get_size: Callable[[bytes, int], int]
    get_bool: Callable[[bytes, bool], bool]
    folder: bytes


#: What an entry point in ``amalgam.cachers`` refers to.
CacherFactory = Callable[[Settings], Cacher]
