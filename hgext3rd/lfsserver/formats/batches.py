# SPDX-License-Identifier: GPL-2.0-or-later
"""The documents of ``objects/batch`` and of ``verify``.

Parsers take bytes and return frozen dataclasses; the encoder does the reverse.
This module knows neither HTTP nor a store. The member names come from
docs/api/batch.md and docs/api/basic-transfers.md of the git-lfs project.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .. import errors
from . import documents, oids

HASH_ALGO = 'sha256'

# The only transfer adapter that all clients support.
TRANSFER = 'basic'

# The adapter for uploads that can be resumed.
TUS = 'tus'

DOWNLOAD = 'download'
UPLOAD = 'upload'
VERIFY = 'verify'

# Sizes travel as JSON numbers, and every client keeps them in signed 64-bit
# integers.
MAX_SIZE = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Pointer:
    """An object as a client names it.

    ``size`` is in bytes. ``problem`` says why the pointer is invalid, or is
    None for a valid one.
    """

    oid: str
    size: int
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """A parsed request for ``objects/batch``.

    ``operation`` is DOWNLOAD or UPLOAD. ``transfers`` are the adapters that the
    client has.
    """

    operation: str
    objects: tuple[Pointer, ...]
    ref: str | None
    transfers: frozenset[str] = frozenset({TRANSFER})


@dataclass(frozen=True, slots=True)
class Action:
    """A request that the client has to send for one object.

    ``header`` holds the header fields to send. The action expires after
    ``lifetime`` seconds.
    """

    href: str
    header: Mapping[str, str]
    lifetime: int


@dataclass(frozen=True, slots=True)
class ObjectResult:
    """The result of a batch request for one object.

    An object has actions by name, or an ``error`` (code and message), or
    neither if the client has nothing to do. ``authenticated`` tells the client
    that the actions need no other credentials.
    """

    oid: str
    size: int
    actions: Mapping[str, Action] = field(default_factory=dict)
    authenticated: bool = False
    error: tuple[int, str] | None = None


def _pointer(entry: object) -> Pointer:
    if not isinstance(entry, dict):
        raise errors.Invalid('each of "objects" must be a JSON object')
    oid = entry.get('oid')
    size = entry.get('size')
    if not isinstance(oid, str):
        raise errors.Invalid('"oid" must be a string')
    if not documents.is_integer(size):
        raise errors.Invalid('"size" must be an integer')
    assert isinstance(size, int)
    problem = None
    if not oids.is_oid(oid):
        problem = '"oid" must be 64 lower-case hexadecimal digits'
    elif not 0 <= size <= MAX_SIZE:
        problem = f'"size" must be between 0 and {MAX_SIZE}'
    return Pointer(oid, size, problem)


def parse_pointer(data: bytes) -> Pointer:
    """Return the object that a ``verify`` action names.

    Raises BadRequest, or Invalid if the pointer has a problem.
    """
    pointer = _pointer(documents.parse_document(data))
    if pointer.problem is not None:
        raise errors.Invalid(pointer.problem)
    return pointer


def parse_batch(data: bytes, max_objects: int) -> BatchRequest:
    """Return a parsed batch request.

    Objects with a problem are kept, so that the response can report the problem
    of each object.

    Raises BadRequest, Invalid (also if every object has a problem), Conflict
    (for an unknown hash algorithm) or TooLarge (for more than ``max_objects``
    objects).
    """
    document = documents.parse_document(data)
    operation = document.get('operation')
    if operation not in (DOWNLOAD, UPLOAD):
        raise errors.Invalid(f'"operation" must be "{DOWNLOAD}" or "{UPLOAD}"')
    transfers = _checked_transfers(document.get('transfers'))
    algorithm = document.get('hash_algo')
    if algorithm is not None and algorithm != HASH_ALGO:
        raise errors.Conflict(f'"hash_algo" must be "{HASH_ALGO}"')
    entries = document.get('objects')
    if not isinstance(entries, list):
        raise errors.Invalid('"objects" must be an array')
    if len(entries) > max_objects:
        raise errors.TooLarge(
            f'the batch has {len(entries)} objects, the limit is {max_objects}'
        )
    objects = tuple(_pointer(entry) for entry in entries)
    problems = [pointer.problem for pointer in objects if pointer.problem]
    if problems and len(problems) == len(objects):
        raise errors.Invalid(problems[0])
    return BatchRequest(
        operation, objects, documents.ref_member(document), transfers
    )


def _checked_transfers(transfers: object) -> frozenset[str]:
    """Return the client's transfer adapters; raise Invalid without TRANSFER.

    A client that names no adapter supports TRANSFER.
    """
    if transfers is None or transfers == []:
        return frozenset({TRANSFER})
    if not isinstance(transfers, list) or not all(
        isinstance(name, str) for name in transfers
    ):
        raise errors.Invalid('"transfers" must be an array of strings')
    if TRANSFER not in transfers:
        raise errors.Invalid(f'"transfers" must contain "{TRANSFER}"')
    return frozenset(transfers)


def encode_batch(
    results: Iterable[ObjectResult], now: float, transfer: str = TRANSFER
) -> bytes:
    """Return the response to a batch request; ``now`` is a POSIX time."""
    return documents.encode(
        {
            'transfer': transfer,
            'objects': [_object(result, now) for result in results],
            'hash_algo': HASH_ALGO,
        }
    )


def _object(result: ObjectResult, now: float) -> dict[str, Any]:
    document: dict[str, Any] = {'oid': result.oid, 'size': result.size}
    if result.error is not None:
        code, message = result.error
        document['error'] = {'code': code, 'message': message}
    if result.actions:
        if result.authenticated:
            document['authenticated'] = True
        document['actions'] = {
            name: {
                'href': action.href,
                'header': dict(action.header),
                'expires_in': action.lifetime,
                'expires_at': documents.utc(now + action.lifetime),
            }
            for name, action in result.actions.items()
        }
    return document
