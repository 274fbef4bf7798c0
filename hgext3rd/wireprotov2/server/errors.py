# SPDX-License-Identifier: GPL-2.0-or-later
"""Errors that become HTTP statuses.

Errors of the protocol itself are in ``proto.errors``, which knows no HTTP.
"""

from __future__ import annotations


class HTTPError(Exception):
    """A request that is answered with an HTTP status, not with wire frames.

    ``status`` is the HTTP code, ``body`` the plain text sent to the client, and
    ``headers`` are further (name, value) pairs.
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
