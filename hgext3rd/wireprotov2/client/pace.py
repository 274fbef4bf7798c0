# SPDX-License-Identifier: GPL-2.0-or-later
"""A minimum speed for responses, so that no server can hold a client forever.

The timeout of a socket applies to a single read: a server that sends one byte
now and then never exceeds it. Here the time spent waiting for bytes is added
up, whether they belong to the status line, the headers, the sizes of chunks or
the content. The time the client spends on data that has arrived does not count.
This module knows HTTP connections and nothing of what they carry.
"""

from __future__ import annotations

import io
import time
from typing import Any

from mercurial import keepalive

# Bytes that must arrive during ``http.timeout`` seconds of waiting.
LEAST = 1024


class TooSlow(OSError):
    """Fewer bytes than ``LEAST`` arrived during ``timeout`` seconds."""

    def __init__(self, timeout: float) -> None:
        super().__init__(f'less than {LEAST} bytes in {timeout:g} seconds')


class PacedReader(io.RawIOBase):
    """Reads from the raw stream ``raw`` and raises ``TooSlow`` if it is slow.

    ``timeout`` is in seconds.
    """

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
            # The end of a response (size 0) is not a slow response.
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
    """Require the minimum speed of responses to requests through ``opener``.

    ``timeout`` is in seconds; 0 or None means no requirement. Only requests
    whose attribute ``paced`` is true are limited. Requests of version 1 keep
    Mercurial's timeout.
    """
    if not timeout:
        return
    for handler in getattr(opener, 'handlers', ()):
        if isinstance(handler, keepalive.KeepAliveHandler) and not hasattr(
            handler, 'paced_response'
        ):
            handler.__class__ = _paced(type(handler))
            handler.paced_response = _response_class(timeout)


def _response_class(timeout: float) -> type:
    """Return a class of HTTP responses that are read with ``timeout``."""

    class PacedResponse(keepalive.HTTPResponse):
        fp: Any

        def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
            super().__init__(sock, *args, **kwargs)
            raw = PacedReader(sock.makefile('rb', buffering=0), timeout)
            self.fp.close()
            self.fp = io.BufferedReader(raw)

    return PacedResponse


def _paced(kind: Any) -> type:
    """Return a subclass of the handler class ``kind`` that obeys ``paced``."""

    class pacedhandler(kind):
        paced_response: type

        def _start_transaction(self, connection: Any, request: Any) -> Any:
            # A connection is kept and reused for requests of both kinds.
            if getattr(request, 'paced', False):
                connection.response_class = self.paced_response
            else:
                connection.__dict__.pop('response_class', None)
            return super()._start_transaction(connection, request)

    pacedhandler.__name__ = kind.__name__
    return pacedhandler
