# SPDX-License-Identifier: GPL-2.0-or-later
"""The body of a request under a WSGI server other than ``hg serve``.

It takes the place of ``wsgi.input``, because hgweb reads what a request leaves
unread before it sends the response: a client that announces a large body and
does not send it would never be answered. This module knows nothing of LFS.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from .. import errors
from ..stores.content import BLOCK_SIZE
from .body import MAX_DISCARD

# Digits of the largest length that is believed; it does not fit on any disk.
_MAX_DIGITS = 18


class WSGIBody:
    """A request body; serves as ``wsgi.input`` and as a RequestBody.

    ``env`` is the WSGI environment. ``length`` is the Content-Length, or None
    without one. ``chunked`` says whether the chunked coding is used instead.
    ``timeout`` is the number of seconds that reading waits for the client, or
    None; it has an effect only under gunicorn.
    """

    def __init__(self, env: Mapping[str, Any]) -> None:
        self._stream = env['wsgi.input']
        self._socket: socket.socket | None = env.get('gunicorn.socket')
        length = env.get('CONTENT_LENGTH') or ''
        valid = length.isdecimal() and len(length) <= _MAX_DIGITS
        self.length = int(length) if valid else None
        # Only servers that undo the chunked coding set input_terminated.
        self.chunked = self.length is None and bool(
            env.get('wsgi.input_terminated')
            and env.get('HTTP_TRANSFER_ENCODING')
        )
        self.timeout: float | None = None
        self._continue = env.get('HTTP_EXPECT', '').lower() == '100-continue'
        self._received = 0
        self._ended = not self.length and not self.chunked
        self._refused = False

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes; b'' at the end or after a refusal."""
        if self._refused or self._ended:
            return b''
        data: bytes = self._stream.read(size)
        self._received += len(data)
        if not data or self._received == self.length:
            self._ended = True
        return data

    def blocks(self) -> Iterator[bytes]:
        """Yield the content; see RequestBody."""
        with self._timed():
            while data := self._block():
                yield data
        if self.length is not None and self._received < self.length:
            raise errors.ShortBody(
                'the request body ended '
                f'{self.length - self._received} bytes early'
            )

    def _block(self) -> bytes:
        try:
            return self.read(BLOCK_SIZE)
        except TimeoutError:
            raise errors.SlowClient('the request body did not arrive') from None
        except Exception as error:
            # WSGI does not say which exceptions a server may raise.
            raise errors.ShortBody('the request body cannot be read') from error

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """Let reads fail after ``timeout``, where the server allows that."""
        if self._socket is None or self.timeout is None:
            yield
            return
        before = self._socket.gettimeout()
        self._socket.settimeout(self.timeout)
        try:
            yield
        finally:
            self._socket.settimeout(before)

    def refuse(self, start_response: Callable[..., Any]) -> None:
        """Stop reading, before the response is sent by ``start_response``.

        A large rest of the body closes the connection. gunicorn deals with a
        small one after the response, for which it has time limits. No such
        limits are known of other servers, and some need an application that
        reads everything, so a small rest is left to hgweb there.
        """
        if self._ended:
            return
        small = (
            self.length is not None
            and self.length - self._received <= MAX_DISCARD
        )
        if small and self._socket is None:
            return
        self._refused = True
        # The method belongs to gunicorn's response. WSGI itself has no way to
        # close a connection: gunicorn drops the field "Connection".
        response = getattr(start_response, '__self__', None)
        force_close = getattr(response, 'force_close', None)
        if not small and force_close is not None:
            force_close()

    def finish(self, start_response: Callable[..., Any]) -> None:
        """Refuse the rest, and read a small one that nobody else would read.

        hgweb does the same: a client may send everything before it reads.
        """
        self.refuse(start_response)
        if not self._continue:
            # WSGI does not say which exceptions a server may raise.
            with suppress(Exception):
                while self.read(BLOCK_SIZE):
                    pass


def apply_timeout(body: object, ui: Any) -> None:
    """Wait for ``body``, if it is a WSGIBody, as long as ``ui`` says."""
    if isinstance(body, WSGIBody):
        body.timeout = ui.configint(b'lfsserver', b'timeout') or None
