# SPDX-License-Identifier: GPL-2.0-or-later
"""A decoder for the chunked transfer coding of HTTP/1.1.

It reads from a buffered stream and knows no socket. Requests to ``hg serve``
need the decoder, because ``hg serve`` passes its raw connection to the
application. WSGI servers such as gunicorn decode bodies themselves. Source:
RFC 9112, section 7.1.
"""

from __future__ import annotations

import re
from typing import Protocol

from .. import errors

# Bytes of a chunk-size line: a hexadecimal number and, in theory, extensions.
MAX_SIZE_LINE = 256

# Trailer fields are read and ignored. Real clients send a few at most, so a
# body costs no more than MAX_TRAILERS * MAX_TRAILER_LINE bytes (256 KiB) here.
MAX_TRAILERS = 32
MAX_TRAILER_LINE = 8192

# 16 hexadecimal digits are 64 bits, more than the size of any file.
_SIZE = re.compile(rb'[0-9a-fA-F]{1,16}\Z')


class Stream(Protocol):
    """The methods of a buffered reader that the decoder needs."""

    def read(self, size: int, /) -> bytes: ...

    def readline(self, size: int, /) -> bytes: ...


class ChunkedReader:
    """Reads the content of a chunked body.

    Once ``read`` has returned b'', ``finished`` is true and the stream is
    positioned after the body.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._left = 0
        self._started = False
        self.finished = False

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes of content, or b'' at the end.

        Raises BadRequest if the coding is malformed, and ShortBody if the
        stream ends before the body does.
        """
        if not self._left and not self.finished:
            self._next_chunk()
        if self.finished:
            return b''
        data = self._stream.read(min(size, self._left))
        if not data:
            raise errors.ShortBody('the request body ended inside a chunk')
        self._left -= len(data)
        return data

    def _line(self, limit: int) -> bytes:
        line = self._stream.readline(limit)
        if not line.endswith(b'\n'):
            if len(line) < limit:
                raise errors.ShortBody('the request body ended between chunks')
            raise errors.BadRequest('a line of the chunked body is too long')
        return line.rstrip(b'\r\n')

    def _next_chunk(self) -> None:
        if self._started and self._line(MAX_SIZE_LINE):
            raise errors.BadRequest('a chunk is longer than its size line says')
        self._started = True
        digits = self._line(MAX_SIZE_LINE).partition(b';')[0].strip()
        if not _SIZE.match(digits):
            raise errors.BadRequest('a chunk has no valid size')
        self._left = int(digits, 16)
        if not self._left:
            self._skip_trailers()
            self.finished = True

    def _skip_trailers(self) -> None:
        for _ in range(MAX_TRAILERS):
            if not self._line(MAX_TRAILER_LINE):
                return
        raise errors.BadRequest('the chunked body has too many trailer fields')
