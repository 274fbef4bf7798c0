# SPDX-License-Identifier: GPL-2.0-or-later
"""The interface of a cacher: a store of bytes under keys, and nothing more.

A cacher does not know what it holds, nor when that becomes invalid (keys change
instead), nor what a command is. Other people can provide cachers: a function
that takes ``Settings`` and returns a ``Cacher``. An extension of Mercurial gives
it a name by ``register``, another distribution by an entry point in the group
``amalgam.cachers``. The name is a value of the option ``wireprotov2.cacher``.

Imported by every hg process that has such an extension: keep it light.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

#: Entry point group of cachers that other distributions provide.
ENTRY_POINT_GROUP = 'amalgam.cachers'

#: The cachers of this package. Each is in a module of its name, which has a
#: function ``from_settings``.
BUILT_IN = (b'memory', b'directory', b'redis', b'objectstore')


class CacherError(Exception):
    """A cacher cannot do what it was asked for.

    Raise it if a store is unreachable, is full, or refuses. ``str()`` of it is
    one line for a log. The caller treats it as a miss. A key that is absent is
    not an error.
    """


class CacherConfigError(CacherError):
    """The configuration of a cacher is wrong, or a package is missing.

    Raise it while the cacher is made. Requests are then answered without a
    cache, and the server logs the message.
    """


@dataclass(frozen=True, slots=True)
class Target:
    """A place to which clients may be redirected.

    Capabilities announce it. ``name`` identifies it, ``protocol`` is ``http``
    or ``https``, and ``uris`` are URL prefixes, one of which every location
    begins with.
    """

    name: bytes
    protocol: bytes
    uris: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class BodyLocation:
    """Where a client can fetch the body of one entry itself.

    ``size`` (bytes) and ``sha256`` (the digest, 32 bytes) are those of the body
    as it is stored.
    """

    url: bytes
    size: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Usage:
    """What a cacher holds: ``entries`` of ``size`` bytes, of at most ``limit``.

    ``limit`` is None if there is none, or if it is not known.
    """

    entries: int
    size: int
    limit: int | None = None


class Cacher(Protocol):
    """Where entries are kept.

    ``key`` is 40 lower-case hexadecimal digits. Methods are called from several
    threads at once, and raise nothing but ``CacherError``. A class that inherits
    from this one needs ``get`` and ``put``; the other methods suit a store that
    neither processes nor clients share.
    """

    @abc.abstractmethod
    def get(self, key: bytes) -> bytes | None:
        """Return the bytes last put under ``key``, or None."""

    @abc.abstractmethod
    def put(self, key: bytes, data: bytes) -> None:
        """Keep ``data`` under ``key``, as a whole or not at all.

        A cacher may ignore data for which it has no room, and may forget what
        it holds at any time.
        """

    def head(self, key: bytes, size: int) -> bytes | None:
        """Return the first ``size`` bytes under ``key``, or None.

        The rest is not transferred if the store can read a part.
        """
        data = self.get(key)
        return None if data is None else data[:size]

    def remove(self, key: bytes) -> None:
        """Forget what is under ``key``.

        A cacher need not be able to. It is only asked to remove what was put as a
        trial.
        """
        return

    def lease(self, key: bytes) -> AbstractContextManager[None]:
        """Return a context in which no other process computes ``key``.

        Entering waits for other processes, but not forever. The lease is an
        optimization: two holders cost time and do no harm.
        """
        return nullcontext()

    def targets(self) -> tuple[Target, ...]:
        """Return where clients may be sent for bodies; usually nowhere."""
        return ()

    def locate(self, key: bytes) -> BodyLocation | None:
        """Return where a client can fetch the body of ``key``, or None."""
        return None

    def usage(self) -> Usage | None:
        """Return what the cacher holds, None if finding out costs too much.

        It is asked for with every scrape of the metrics.
        """
        return None

    def close(self) -> None:
        """Release all resources. The cacher is not used afterwards."""
        return


@runtime_checkable
class FileStore(Protocol):
    """A cacher that can also keep files for clients that know only a URL.

    Cachers need not be one. ``name`` is that of a file in the store. Methods
    raise nothing but ``CacherError``.
    """

    #: Whether clients can reach the store.
    reachable: bool

    def publish(self, name: bytes, path: bytes) -> None:
        """Keep the content of the local file ``path`` as ``name``."""

    def url(self, name: bytes) -> bytes:
        """Return where clients can fetch the file, for days at least."""

    def withdraw(self, name: bytes) -> None:
        """Remove the file; do nothing if it does not exist."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration of a cacher, from section ``[wireprotov2]``.

    ``get(name, default)`` returns the option ``cacher.<name>`` as bytes.
    ``get_size(name, default)`` returns one that has a unit (``2 GB``) as a
    number of bytes, ``get_bool(name, default)`` one as a boolean. ``folder`` is
    the path of the repository's cache folder.
    """

    get: Callable[[bytes, bytes | None], bytes | None]
    get_size: Callable[[bytes, int], int]
    get_bool: Callable[[bytes, bool], bool]
    folder: bytes


#: What ``register`` takes, and what an entry point in ``amalgam.cachers`` refers
#: to. It is called when the first request needs the cacher. Raises
#: ``CacherConfigError``.
CacherFactory = Callable[[Settings], Cacher]

_registered: dict[bytes, CacherFactory] = {}


def register(name: bytes, factory: CacherFactory) -> None:
    """Make ``name`` a value of the option ``wireprotov2.cacher``.

    Extensions of Mercurial call this when they are loaded. Options of the
    cacher should begin with its name. Raises ``CacherConfigError`` if there is a
    cacher of this name.
    """
    if name in (b'none', *BUILT_IN) or name in _registered:
        raise CacherConfigError(
            f'there is a cacher named {name.decode("utf-8", "replace")} already'
        )
    _registered[name] = factory


def registered(name: bytes) -> CacherFactory | None:
    """Return what an extension has registered as ``name``, or None."""
    return _registered.get(name)
