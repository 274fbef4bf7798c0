# SPDX-License-Identifier: GPL-2.0-or-later
"""Errors of the adapters around the protocol.

``proto.errors`` holds what the sans-I/O code raises; it knows neither HTTP nor
Mercurial. What is here carries an HTTP status, for the server to answer.
"""

from __future__ import annotations


class HTTPError(Exception):
    """A request that is answered with an HTTP status instead of frames.

    ``status`` is the HTTP code, ``body`` the plain text sent to the client,
    ``headers`` further (name, value) pairs.
    """

    def __init__(
        self,
        status: int,
        body: bytes,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body
        self.headers = headers
