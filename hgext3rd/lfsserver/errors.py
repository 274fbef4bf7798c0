# SPDX-License-Identifier: GPL-2.0-or-later
"""The errors of this package.

Each error carries the HTTP status of the response. Its text becomes the
``message`` member of the JSON body. This module knows nothing of Mercurial,
SQLite or sockets.
"""

from __future__ import annotations

from collections.abc import Mapping


class LfsServerError(Exception):
    """The base of all errors; the server sends them as LFS error documents.

    ``status`` is the HTTP status, and ``headers`` are added to the response.
    ``detail`` is written to the error log and never sent to clients: it may
    contain paths or addresses.
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
        """The message with the detail for the operator."""
        if self.detail is None:
            return self.message
        return f'{self.message}: {self.detail}'


class BadRequest(LfsServerError):
    """The JSON or the framing of the request is malformed."""

    status = 400


class ShortBody(BadRequest):
    """The request body ended before the announced length."""


class Forbidden(LfsServerError):
    """The user lacks the permission (403), or must authenticate (401)."""

    status = 403


class NotFound(LfsServerError):
    """The blob, the lock or the address does not exist."""

    status = 404


class MethodNotAllowed(LfsServerError):
    """The address exists, but does not support this HTTP method."""

    status = 405


class NotAcceptable(LfsServerError):
    """The client does not accept the media type of LFS responses."""

    status = 406


class SlowClient(LfsServerError):
    """The client neither sent nor received a byte within the timeout."""

    status = 408


class Conflict(LfsServerError):
    """Another lock excludes this one, or the hash algorithm is unsupported."""

    status = 409


class LengthRequired(LfsServerError):
    """The request has neither a Content-Length nor a chunked body."""

    status = 411


class PreconditionFailed(LfsServerError):
    """If-Match or If-Unmodified-Since does not hold."""

    status = 412


class TooLarge(LfsServerError):
    """A blob, a batch or a document exceeds a limit of this server."""

    status = 413


def object_too_large(limit: int) -> TooLarge:
    """Return the error for a blob of more than ``limit`` bytes."""
    return TooLarge(f'The object is larger than {limit} bytes')


class UnsupportedMediaType(LfsServerError):
    """The media type of the body is not LFS JSON."""

    status = 415


class RangeNotSatisfiable(LfsServerError):
    """The range lies outside the blob."""

    status = 416


class Invalid(LfsServerError):
    """The request is well-formed, but has wrong types or a wrong hash."""

    status = 422


class Busy(LfsServerError):
    """The limit of concurrent transfers is reached."""

    status = 429


class StoreUnavailable(LfsServerError):
    """The blob store or the lock database cannot be used."""

    status = 503


class OutOfSpace(LfsServerError):
    """The server does not have enough disk space for the blob."""

    status = 507
