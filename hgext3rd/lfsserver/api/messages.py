# SPDX-License-Identifier: GPL-2.0-or-later
"""LFS requests and responses, as the handlers see them.

``hgweb.exchange`` creates the requests and sends the responses. The handlers in
``batch``, ``transfer`` and ``locking`` compute a response from an Endpoint and
a request. Nothing here knows hgweb or a socket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from .. import errors
from ..formats import documents
from ..http import fields as httpfields
from ..stores.content import Block

# The operations that hgweb's permission hooks know. Core's hooks require the
# method PUT for 'upload' and POST for 'push'.
PULL = 'pull'
PUSH = 'push'
UPLOAD = 'upload'

# Bytes of the largest JSON document that is not a batch. The largest legitimate
# document is a lock request, which holds a path and a ref.
MAX_DOCUMENT = 64 * 1024


class RequestBody(Protocol):
    """The body of a request.

    ``length`` is its announced size in bytes, or None. ``chunked`` says whether
    the body uses the chunked coding instead. A request with neither has no
    body.
    """

    @property
    def length(self) -> int | None: ...

    @property
    def chunked(self) -> bool: ...

    def blocks(self) -> Iterator[Block]:
        """Yield the content.

        A block is valid until the next one is taken. Raises ShortBody,
        SlowClient or BadRequest.
        """


@dataclass(frozen=True, slots=True)
class LfsRequest:
    """A request.

    Names of header fields are lower-case. ``user`` is the authenticated user,
    or None. ``permit`` raises Forbidden unless the user may do PULL, PUSH or
    UPLOAD. ``repeat_credentials`` is False if links must not have the
    credentials of the request, because they are less secure than the request.
    """

    method: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: RequestBody
    user: str | None
    permit: Callable[[str], None]
    repeat_credentials: bool = True

    def document(self, limit: int) -> bytes:
        """Return the whole body, which must be LFS JSON.

        ``limit`` is in bytes. Raises UnsupportedMediaType, LengthRequired,
        TooLarge, or an error of ``RequestBody.blocks``.
        """
        media_type = httpfields.media_type(self.headers.get('content-type'))
        if media_type not in (documents.MEDIA_TYPE, 'application/json'):
            raise errors.UnsupportedMediaType(
                f'the request body must be {documents.MEDIA_TYPE}'
            )
        self.require_length()
        if self.body.length is not None and self.body.length > limit:
            raise errors.TooLarge(f'the request is larger than {limit} bytes')
        data = bytearray()
        for block in self.body.blocks():
            data += block
            if len(data) > limit:
                raise errors.TooLarge(
                    f'the request is larger than {limit} bytes'
                )
        return bytes(data)

    def require_length(self) -> None:
        """Raise LengthRequired unless the end of the body is known."""
        if self.body.length is None and not self.body.chunked:
            raise errors.LengthRequired(
                'the request needs a Content-Length or the chunked coding'
            )

    def require_json_accepted(self) -> None:
        """Raise NotAcceptable unless the client accepts LFS JSON."""
        accept = self.headers.get('accept')
        if not httpfields.accepts(
            accept, documents.MEDIA_TYPE, 'application/json'
        ):
            raise errors.NotAcceptable(f'responses are {documents.MEDIA_TYPE}')


@dataclass(frozen=True, slots=True)
class LfsResponse:
    """A response.

    ``body`` is either the whole content, or an iterable that yields ``length``
    bytes of content. A response to HEAD has the body None, and only states the
    ``length``.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] | None = b''
    length: int = 0

    @property
    def content_length(self) -> int:
        """The value of the Content-Length field."""
        return len(self.body) if isinstance(self.body, bytes) else self.length


def json_response(
    status: int, data: bytes, headers: Mapping[str, str] | None = None
) -> LfsResponse:
    """Return a response of LFS JSON that must not be cached."""
    fields = {
        'Content-Type': documents.MEDIA_TYPE,
        'Cache-Control': 'no-store',
        'X-Content-Type-Options': 'nosniff',
        **(headers or {}),
    }
    return LfsResponse(status, fields, data)


def error_response(error: errors.LfsServerError) -> LfsResponse:
    """Return the response that reports an error to a client."""
    return json_response(
        error.status, documents.encode_error(error.message), error.headers
    )
