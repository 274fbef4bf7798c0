# SPDX-License-Identifier: GPL-2.0-or-later
"""A cacher in a Redis server, shared by the machines that reach it.

Redis does the evicting: give it ``maxmemory`` and ``allkeys-lru``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager

from mercurial import demandimport

from . import base

with demandimport.deactivated():
    try:
        import redis
    except ImportError as e:
        raise base.CacherConfigError('the redis package is missing') from e

DEFAULT_TTL = 7 * 24 * 3600

#: Keys begin with this, as the server may have other users.
PREFIX = b'amalgam:wireprotov2:'
#: Seconds to wait for the server, which is near or not worth it.
TIMEOUT = 2.0
#: Seconds another process may compute one key before others do too.
PATIENCE = 60.0
POLL = 0.05


class RedisCacher:
    """Keeps entries for ``ttl`` seconds; 0 leaves it to the server."""

    def __init__(self, url: str, ttl: int = DEFAULT_TTL) -> None:
        """Raises ``CacherConfigError`` for a URL that is none of Redis."""
        self._ttl = ttl
        try:
            self._client = redis.Redis.from_url(
                url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT
            )
        except ValueError as e:
            raise base.CacherConfigError(f'bad redis URL: {e}') from e

    def get(self, key: bytes) -> bytes | None:
        with _errors():
            data = self._client.get(PREFIX + key)
        return data if isinstance(data, bytes) else None

    def head(self, key: bytes, size: int) -> bytes | None:
        # absent and empty are alike here, and nothing is stored empty
        with _errors():
            data = self._client.getrange(PREFIX + key, 0, size - 1)
        return data if isinstance(data, bytes) and data else None

    def put(self, key: bytes, data: bytes) -> None:
        with _errors():
            self._client.set(PREFIX + key, data, ex=self._ttl or None)

    def lease(self, key: bytes) -> AbstractContextManager[None]:
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
            # who cannot ask computes
            held = False
        try:
            yield
        finally:
            if held:
                # it may have expired or the server be gone
                with contextlib.suppress(redis.RedisError):
                    lock.release()

    def targets(self) -> tuple[base.Target, ...]:
        return ()

    def locate(self, key: bytes) -> base.Location | None:
        return None

    def close(self) -> None:
        self._client.close()


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as e:
        raise base.CacherError(f'redis: {e}') from e


def from_settings(settings: base.Settings) -> RedisCacher:
    """Make the cacher ``[wireprotov2]`` describes."""
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
