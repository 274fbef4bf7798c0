# SPDX-License-Identifier: GPL-2.0-or-later
"""The chunked transfer coding of HTTP/1.1, read from a buffered stream.

``hg serve`` hands the raw connection to the application, so the coding has to
be undone here; WSGI servers such as gunicorn do it themselves.  RFC 9112,
section 7.1.
"""

from __future__ import annotations

import re
from typing import Protocol

from .. import errors

# A chunk-size line is a hexadecimal number and, in theory, extensions.
MAX_SIZE_LINE = 256

# Trailer fields are read and ignored; nobody sends more than a few.
MAX_TRAILERS = 32
MAX_TRAILER_LINE = 8192

# 16 hexadecimal digits are 64 bits, beyond any file.
_SIZE = re.compile(rb'[0-9a-fA-F]{1,16}\Z')


class Stream(Protocol):
    """What is read from: the part of a buffered reader needed here."""

    def read(self, size: int, /) -> bytes: ...

    def readline(self, size: int, /) -> bytes: ...


class ChunkedReader:
    """The content of a chunked body.

    After ``read`` has returned b'' the stream stands behind the body.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._left = 0
        self._started = False
        self.finished = False

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; b'' at the end.

        Raises BadRequest for a broken coding, ShortBody if the stream ends.
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
            raise errors.BadRequest('a chunk is longer than it said')
        self._started = True
        digits = self._line(MAX_SIZE_LINE).partition(b';')[0].strip()
        if not _SIZE.match(digits):
            raise errors.BadRequest('a chunk has no size')
        self._left = int(digits, 16)
        if not self._left:
            self._skip_trailers()
            self.finished = True

    def _skip_trailers(self) -> None:
        for _ in range(MAX_TRAILERS):
            if not self._line(MAX_TRAILER_LINE):
                return
        raise errors.BadRequest('too many trailer fields')
