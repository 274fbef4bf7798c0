# SPDX-License-Identifier: GPL-2.0-or-later
"""Everything that can go wrong in this package.

Each error carries the HTTP status an LFS client is answered with; texts are
plain English for the ``message`` member of the JSON body.  Nothing here knows
Mercurial, SQLite or a socket.
"""

from __future__ import annotations

from collections.abc import Mapping


class LfsServerError(Exception):
    """Base of all errors; answered as an LFS error document.

    ``status`` is the HTTP status, ``headers`` go into the response; what
    only the operator should see is ``detail``.
    """

    status = 500

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if status is not None:
            self.status = status
        self.headers = dict(headers or {})
        self.detail = detail

    @property
    def full_text(self) -> str:
        """The message with what the operator needs to know."""
        if self.detail is None:
            return self.message
        return f'{self.message}: {self.detail}'


class BadRequest(LfsServerError):
    """The request cannot be read: broken JSON, broken framing."""

    status = 400


class ShortBody(BadRequest):
    """The request body ended before the announced length."""


class Forbidden(LfsServerError):
    """The user may not do this (403), or has to say who they are (401)."""

    status = 403


class NotFound(LfsServerError):
    """No such blob, lock, or path."""

    status = 404


class MethodNotAllowed(LfsServerError):
    """The path exists, but not for this HTTP method."""

    status = 405


class NotAcceptable(LfsServerError):
    """The client does not accept the media type of LFS answers."""

    status = 406


class SlowClient(LfsServerError):
    """The client sent or took no byte for as long as the server waits."""

    status = 408


class Conflict(LfsServerError):
    """Another lock is in the way, or the hash algorithm is not ours."""

    status = 409


class LengthRequired(LfsServerError):
    """A body was needed, but neither its length nor its chunks were sent."""

    status = 411


class PreconditionFailed(LfsServerError):
    """If-Match named other content."""

    status = 412


class TooLarge(LfsServerError):
    """A blob, a batch or a document above the limit of this server."""

    status = 413


class UnsupportedMediaType(LfsServerError):
    """The body is not declared as LFS JSON."""

    status = 415


class RangeNotSatisfiable(LfsServerError):
    """The range lies outside of the blob."""

    status = 416


class Invalid(LfsServerError):
    """Well-formed, but it makes no sense: wrong types, wrong hash."""

    status = 422


class Busy(LfsServerError):
    """As many transfers as this server allows are running already."""

    status = 429


class StoreUnavailable(LfsServerError):
    """The blob store or the lock database cannot be reached."""

    status = 503


class OutOfSpace(LfsServerError):
    """The blob does not fit on the disk of the server."""

    status = 507
