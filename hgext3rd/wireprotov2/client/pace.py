# SPDX-License-Identifier: GPL-2.0-or-later
"""Responses that must arrive at a pace, so that no server keeps us for ever.

A socket's timeout is for one read: a byte now and then passes it. Here the
time spent waiting for bytes is added up, whether they are of the status line,
of headers, of the sizes of chunks or of the content. Time spent with what has
arrived does not count. Knows HTTP connections, nothing of what they carry.
"""

from __future__ import annotations

import io
import time
from typing import Any

from mercurial import keepalive

# Bytes that must arrive in ``http.timeout`` seconds of waiting.
LEAST = 1024


class TooSlow(OSError):
    """Fewer bytes arrived than ``LEAST``."""

    def __init__(self, timeout: float) -> None:
        super().__init__(f'less than {LEAST} bytes in {timeout:g} seconds')


class Reader(io.RawIOBase):
    """Reads from ``raw``; raises ``TooSlow`` where that takes too long."""

    def __init__(self, raw: Any, timeout: float) -> None:
        self._raw = raw
        self._timeout = timeout
        self._waited = 0.0
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        start = time.monotonic()
        size: int | None = self._raw.readinto(buffer)
        self._waited += time.monotonic() - start
        self._size += size or 0
        if self._waited >= self._timeout:
            # the end of a response is no reason to complain
            if size and self._size < LEAST:
                raise TooSlow(self._timeout)
            self._waited = 0.0
            self._size = 0
        return size

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


def limit(opener: Any, timeout: float | None) -> None:
    """Have requests through ``opener`` answered at a pace.

    That goes for requests with the attribute ``paced``, not for all: version 1
    is as patient as it always was.
    """
    if not timeout:
        return

    allowed = timeout

    class Response(keepalive.HTTPResponse):
        fp: Any

        def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
            super().__init__(sock, *args, **kwargs)
            raw = Reader(sock.makefile('rb', buffering=0), allowed)
            self.fp.close()
            self.fp = io.BufferedReader(raw)

    for handler in getattr(opener, 'handlers', ()):
        if isinstance(handler, keepalive.KeepAliveHandler):
            _instrument(handler, Response)


def _instrument(handler: Any, response_class: Any) -> None:
    if getattr(handler, 'pace_is_limited', False):
        return
    handler.pace_is_limited = True
    start_transaction = handler._start_transaction

    def start(connection: Any, request: Any) -> Any:
        # connections are kept between requests of both kinds
        if getattr(request, 'paced', False):
            connection.response_class = response_class
        else:
            connection.__dict__.pop('response_class', None)
        return start_transaction(connection, request)

    handler._start_transaction = start
