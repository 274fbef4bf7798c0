# SPDX-License-Identifier: GPL-2.0-or-later
"""a cacher for wireprotov2 that keeps the responses used last

This example shows how an extension of Mercurial provides a cacher::

  [extensions]
  wireprotov2 =
  simplecache = /path/to/simplecache.py

  [wireprotov2]
  cacher = simple
  cacher.simple.entries = 1000
"""

from __future__ import annotations

import threading

from mercurial import util

from hgext3rd.wireprotov2.cache import base

testedwith = b'7.0 7.1 7.2'


class SimpleCacher(base.Cacher):
    """Keeps a number of entries, of any size, in the memory of the process."""

    def __init__(self, entries: int) -> None:
        self._lock = threading.Lock()
        self._entries = util.lrucachedict(entries)

    def get(self, key: bytes) -> bytes | None:
        """Return the bytes last put under ``key``, or None."""
        with self._lock:
            return self._entries.get(key)

    def put(self, key: bytes, data: bytes) -> None:
        """Keep ``data`` under ``key``; forget what was not used for longest."""
        with self._lock:
            self._entries[key] = data


def from_settings(settings: base.Settings) -> SimpleCacher:
    """Return the cacher that ``[wireprotov2]`` describes."""
    text = settings.get(b'simple.entries', b'1000')
    try:
        return SimpleCacher(max(1, int(text)))
    except ValueError:
        raise base.CacherConfigError(
            'wireprotov2.cacher.simple.entries is not a number'
        ) from None


base.register(b'simple', from_settings)
