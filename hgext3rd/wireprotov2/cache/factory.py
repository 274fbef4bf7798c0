# SPDX-License-Identifier: GPL-2.0-or-later
"""Make the cacher that the configuration asks for, once per process.

Knows ``ui`` and ``repo``; decides nothing about keys.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from mercurial import encoding, pycompat
from mercurial.i18n import _

from . import base, service

_SECTION = b'wireprotov2'

_lock = threading.Lock()
_shared: dict[tuple[Any, ...], service.SharedCache] = {}


def _after_fork() -> None:
    """Forget connections and threads, which belong to the parent."""
    global _lock
    _lock = threading.Lock()
    _shared.clear()


os.register_at_fork(after_in_child=_after_fork)


def for_repo(
    repo: Any, report: Callable[[bytes], None] | None = None
) -> service.ResponseCache | None:
    """Return the cache of a repository, or None if it has none.

    If the cacher cannot be made (wrong configuration, missing package), this
    warns and returns None: requests are answered without a cache. ``report``
    takes warnings as lines for the log of a server; without it they go to the
    user.
    """
    ui = repo.ui

    def warn(message: str) -> None:
        line = encoding.strtolocal(message)
        ui.log(b'wireprotov2-cache', b'%s\n', line)
        if report is not None:
            report(line)
        else:
            ui.warn(_(b'warning: %s\n') % line)

    return _response_cache(repo, warn)


def silent_for_repo(repo: Any) -> service.ResponseCache | None:
    """Return the cache of a repository or None, without any warning.

    This is for callers that do their work whether or not the cache works.
    """
    return _response_cache(repo, None)


def _response_cache(
    repo: Any, warn: Callable[[str], None] | None
) -> service.ResponseCache | None:
    ui = repo.ui
    name = ui.config(_SECTION, b'cacher')
    if not name or name == b'none':
        return None
    try:
        shared = _shared_cache(name, _settings(repo))
    except base.CacherError as e:
        if warn is not None:
            warn(f'responses are not cached: {e}')
        return None
    return service.ResponseCache(
        shared,
        ui.configbytes(_SECTION, b'limit.response-buffer'),
        warn,
        ui.configint(_SECTION, b'cacher.admit-after'),
    )


@dataclass(frozen=True, slots=True)
class CacherInUse:
    """The cacher of a repository: its ``name`` in the configuration.

    Repositories with an equal ``identity`` share it in this process; ``common``
    says whether others can.
    """

    name: str
    identity: Hashable
    common: bool
    shared: service.SharedCache


def cacher_of(repo: Any) -> CacherInUse | None:
    """Return the cacher of a repository, or None if it has none that works."""
    name = repo.ui.config(_SECTION, b'cacher')
    if not name or name == b'none':
        return None
    settings = _settings(repo)
    try:
        shared = _shared_cache(name, settings)
    except base.CacherError:
        return None
    identity = _identity(name, settings)
    common = identity[2] != settings.folder
    return CacherInUse(
        name.decode('utf-8', 'backslashreplace'), identity, common, shared
    )


def _settings(repo: Any) -> base.Settings:
    ui = repo.ui

    def get(name: bytes, default: bytes | None) -> bytes | None:
        value = ui.config(_SECTION, b'cacher.' + name)
        return default if value is None else pycompat.bytestr(value)

    def get_size(name: bytes, default: int) -> int:
        value = ui.configbytes(_SECTION, b'cacher.' + name)
        return default if value is None else int(value)

    def get_bool(name: bytes, default: bool) -> bool:
        value = ui.configbool(_SECTION, b'cacher.' + name)
        return default if value is None else bool(value)

    return base.Settings(get, get_size, get_bool, repo.cachevfs.base)


def _shared_cache(name: bytes, settings: base.Settings) -> service.SharedCache:
    identity = _identity(name, settings)
    found = _shared.get(identity)
    if found is None:
        with _lock:
            found = _shared.get(identity)
            if found is None:
                found = service.SharedCache(_make(name, settings))
                _shared[identity] = found
    return found


#: Options that tell one cacher from another. All other options are read once,
#: when the cacher is made.
_IDENTIFYING: dict[bytes, tuple[bytes, ...]] = {
    b'memory': (b'memory.size',),
    b'directory': (b'directory.path', b'directory.size'),
    b'redis': (b'redis.url', b'redis.ttl'),
    b'objectstore': (
        b'objectstore.url',
        b'objectstore.redirect',
        b'objectstore.public-url',
    ),
}


def _identity(name: bytes, settings: base.Settings) -> tuple[Any, ...]:
    values = tuple(
        settings.get(item, None) for item in _IDENTIFYING.get(name, ())
    )
    folder = settings.folder
    if name in (b'memory', b'redis', b'objectstore') or (
        name == b'directory' and values[0]
    ):
        # All repositories of the process share this cacher.
        folder = b''
    return (name, values, folder)


def _make(name: bytes, settings: base.Settings) -> base.Cacher:
    """Return a new cacher. Raises ``CacherError``, whatever its author does."""
    factory = _factory(name)
    try:
        return factory(settings)
    except base.CacherError:
        raise
    except Exception as e:
        raise base.CacherConfigError(
            f'cannot make cacher {pycompat.sysstr(name)}: {e!r}'
        ) from e


def _factory(name: bytes) -> base.CacherFactory:
    wanted = pycompat.sysstr(name)
    if name in base.BUILT_IN:
        # Imported when used, since some need packages that are optional.
        factory: base.CacherFactory = importlib.import_module(
            '.' + wanted, __package__
        ).from_settings
        return factory
    registered = base.registered(name)
    if registered is not None:
        return registered
    points = metadata.entry_points(group=base.ENTRY_POINT_GROUP)
    for point in points.select(name=wanted):
        try:
            loaded: base.CacherFactory = point.load()
        except (ImportError, AttributeError) as e:
            raise base.CacherConfigError(
                f'cannot load cacher {wanted}: {e}'
            ) from e
        return loaded
    raise base.CacherConfigError(f'unknown cacher: {wanted}')
