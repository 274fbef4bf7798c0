# SPDX-License-Identifier: GPL-2.0-or-later
"""A cacher in a Redis server, shared by all machines that reach it.

Redis evicts entries if it is configured with ``maxmemory`` and ``allkeys-lru``.
Nothing here knows what an entry holds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from mercurial import demandimport

from . import base

with demandimport.deactivated():
    try:
        import redis
    except ImportError as e:
        raise base.CacherConfigError('the redis package is missing') from e

#: Seconds for which an entry is kept.
DEFAULT_TTL = 7 * 24 * 3600

#: The prefix of all keys, since the server may have other users.
PREFIX = b'amalgam:wireprotov2:'
#: Seconds to wait for the server. If it takes longer, a cache saves no time.
TIMEOUT = 2.0
#: Seconds to wait for another process that computes the same key, and between
#: two attempts to get its lock.
PATIENCE = 60.0
POLL = 0.05


class RedisCacher(base.Cacher):
    """Keeps entries for ``ttl`` seconds, or with 0 until Redis evicts them.

    Raises ``CacherConfigError`` for a URL that is not one of Redis.
    """

    def __init__(self, url: str, ttl: int = DEFAULT_TTL) -> None:
        self._ttl = ttl
        try:
            self._client = redis.Redis.from_url(
                url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT
            )
        except ValueError as e:
            raise base.CacherConfigError(f'bad redis URL: {e}') from e

    def get(self, key: bytes) -> bytes | None:
        """Return the data under ``key``, or None. Raises ``CacherError``."""
        with _errors():
            data = self._client.get(PREFIX + key)
        return data if isinstance(data, bytes) else None

    def head(self, key: bytes, size: int) -> bytes | None:
        """Return the first ``size`` bytes under ``key``, or None.

        Raises ``CacherError``.
        """
        # Redis returns the same for an absent and an empty value. No entry is
        # empty.
        with _errors():
            data = self._client.getrange(PREFIX + key, 0, size - 1)
        return data if isinstance(data, bytes) and data else None

    def put(self, key: bytes, data: bytes) -> None:
        """Keep ``data`` under ``key``. Raises ``CacherError``."""
        with _errors():
            self._client.set(PREFIX + key, data, ex=self._ttl or None)

    def remove(self, key: bytes) -> None:
        """Forget what is under ``key``. Raises ``CacherError``."""
        with _errors():
            self._client.delete(PREFIX + key)

    def lease(self, key: bytes) -> AbstractContextManager[None]:
        """Return a context that holds the lock of ``key``.

        It is entered without the lock after ``PATIENCE`` seconds.
        """
        return self._lease(key)

    @contextlib.contextmanager
    def _lease(self, key: bytes) -> Iterator[None]:
        lock = self._client.lock(
            (PREFIX + b'lease:' + key).decode('ascii'),
            timeout=PATIENCE,
            sleep=POLL,
            blocking_timeout=PATIENCE,
        )
        try:
            held = lock.acquire()
        except redis.RedisError:
            # Without a server there is no lock, and the caller computes.
            held = False
        try:
            yield
        finally:
            if held:
                # The lock may have expired, or the server may be gone.
                with contextlib.suppress(redis.RedisError):
                    lock.release()

    def usage(self) -> base.Usage:
        """Return what the whole server holds. Raises ``CacherError``."""
        with _errors():
            memory: Any = self._client.info('memory')
            entries: Any = self._client.dbsize()
        limit = int(memory.get('maxmemory', 0))
        return base.Usage(entries, int(memory['used_memory']), limit or None)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """Turn errors of Redis into ``CacherError``."""
    try:
        yield
    except redis.RedisError as e:
        raise base.CacherError(f'redis: {e}') from e


def from_settings(settings: base.Settings) -> RedisCacher:
    """Return the cacher that ``[wireprotov2]`` describes.

    Raises ``CacherConfigError``.
    """
    url = settings.get(b'redis.url', None)
    if not url:
        raise base.CacherConfigError('wireprotov2.cacher.redis.url is not set')
    ttl = settings.get(b'redis.ttl', b'%d' % DEFAULT_TTL) or b'0'
    try:
        seconds = int(ttl)
    except ValueError:
        raise base.CacherConfigError(
            'wireprotov2.cacher.redis.ttl is not a number of seconds'
        ) from None
    return RedisCacher(url.decode('utf-8'), seconds)
