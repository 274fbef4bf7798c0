# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests and responses as the handlers see them.

The adapter (``web``) fills these from hgweb; the handlers (``batch``,
``transfer``, ``locking``) compute a Response from an Endpoint and a Request.
Nothing here does I/O.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from .. import errors
from ..http import fields as httpfields
from ..stores.blobs import BlobStore, Piece
from ..stores.locks import LockStore
from . import documents

# What a user may do, as hgweb's permission hooks call it.  Core's hooks want
# PUT for 'upload' and POST for 'push'.
PULL = 'pull'
PUSH = 'push'
UPLOAD = 'upload'

# Largest JSON document besides batches: a lock request holds two paths.
MAX_DOCUMENT = 64 * 1024

# Bytes a batch document may take per object, blanks included; the usual
# client needs about 110.
BATCH_OBJECT_BYTES = 256

DEFAULT_MAX_BATCH = 50_000


class Body(Protocol):
    """A request body: ``length`` announced, or sent in chunks, or neither."""

    @property
    def length(self) -> int | None: ...

    @property
    def chunked(self) -> bool: ...

    def pieces(self) -> Iterator[Piece]:
        """The content; raises ShortBody, SlowClient, BadRequest.

        A piece is valid until the next one is taken.
        """


@dataclass(frozen=True, slots=True)
class Limits:
    """What this server serves; 0 means no limit.

    ``object_size`` in bytes, ``lifetime`` of links in seconds.
    """

    object_size: int = 0
    batch: int = DEFAULT_MAX_BATCH
    lifetime: int = 3600

    @property
    def batch_document(self) -> int:
        return MAX_DOCUMENT + self.batch * BATCH_OBJECT_BYTES


class Gate:
    """Counts the transfers that run, and refuses those above a limit."""

    def __init__(self) -> None:
        self._running = 0
        self._lock = threading.Lock()

    def enter(self, limit: int) -> Slot:
        """Take a place among ``limit`` (0: any number); raises Busy."""
        with self._lock:
            if limit and self._running >= limit:
                raise errors.Busy(
                    f'{limit} transfers are running already',
                    headers={'Retry-After': '1'},
                )
            self._running += 1
        return Slot(self)

    def leave(self) -> None:
        with self._lock:
            self._running -= 1


class Slot:
    """One running transfer; given back by ``release`` or by being dropped."""

    def __init__(self, gate: Gate) -> None:
        self._gate: Gate | None = gate

    def release(self) -> None:
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.leave()

    __del__ = release


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What serves one repository.

    ``url`` is the address of the repository without a slash at its end;
    ``log`` takes one line for the blackbox; ``admit`` takes a place for a
    transfer.
    """

    store: BlobStore
    locks: LockStore | None
    limits: Limits
    url: str
    admit: Callable[[], Slot]
    log: Callable[[str], None]
    now: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are lower-case.

    ``permit`` raises Forbidden unless the user may do PULL, PUSH or UPLOAD.
    ``user`` is the authenticated one, or None.
    """

    method: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Body
    user: str | None
    permit: Callable[[str], None]

    def document(self, limit: int) -> bytes:
        """The whole body, which is LFS JSON.

        Raises UnsupportedMediaType, LengthRequired, TooLarge.
        """
        kind = httpfields.media_type(self.headers.get('content-type'))
        if kind not in (documents.MEDIA_TYPE, 'application/json'):
            raise errors.UnsupportedMediaType(
                f'the request body must be {documents.MEDIA_TYPE}'
            )
        self.require_length()
        if self.body.length is not None and self.body.length > limit:
            raise errors.TooLarge(f'the request is larger than {limit} bytes')
        data = bytearray()
        for piece in self.body.pieces():
            data += piece
            if len(data) > limit:
                raise errors.TooLarge(
                    f'the request is larger than {limit} bytes'
                )
        return bytes(data)

    def require_length(self) -> None:
        """Raise LengthRequired unless the extent of the body is known."""
        if self.body.length is None and not self.body.chunked:
            raise errors.LengthRequired(
                'the request needs a Content-Length or the chunked coding'
            )

    def require_json_accepted(self) -> None:
        """Raise NotAcceptable unless the client takes LFS JSON."""
        accept = self.headers.get('accept')
        if not httpfields.accepts(
            accept, documents.MEDIA_TYPE, 'application/json'
        ):
            raise errors.NotAcceptable(f'answers are {documents.MEDIA_TYPE}')


@dataclass(frozen=True, slots=True)
class Response:
    """One answer: ``body`` is all of it, or pieces of ``length`` bytes.

    With body None (HEAD) ``length`` alone is told to the client.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] | None = b''
    length: int = 0


def json_response(
    status: int, data: bytes, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer of LFS JSON; never to be cached."""
    fields = {
        'Content-Type': documents.MEDIA_TYPE,
        'Cache-Control': 'no-store',
        **(headers or {}),
    }
    return Response(status, fields, data)


def error_response(error: errors.LfsServerError) -> Response:
    """The answer that tells a client about an error."""
    return json_response(
        error.status, documents.encode_error(error.message), error.headers
    )
