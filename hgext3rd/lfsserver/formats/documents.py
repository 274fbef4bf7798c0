# SPDX-License-Identifier: GPL-2.0-or-later
"""The JSON documents of Git LFS: parsing, validation and encoding.

Parsers take bytes and return frozen dataclasses; encoders do the reverse. This
module knows neither HTTP nor a store, and it raises only what ``errors``
defines. The member names come from docs/api/{batch,locking,basic-transfers}.md
of the git-lfs project.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from .. import errors
from . import oids

MEDIA_TYPE = 'application/vnd.git-lfs+json'

HASH_ALGO = 'sha256'

# The only transfer adapter that all clients support.
TRANSFER = 'basic'

DOWNLOAD = 'download'
UPLOAD = 'upload'
VERIFY = 'verify'

# Sizes travel as JSON numbers, and every client keeps them in signed 64-bit
# integers.
MAX_SIZE = 2**63 - 1

# PATH_MAX of Linux: a lock on a longer path cannot name a file.
MAX_PATH_BYTES = 4096

# Git stores refs as files, so PATH_MAX bounds their names as well.
MAX_REF_BYTES = 4096

_CONTROL = re.compile(r'[\x00-\x1f\x7f]')


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

    ``operation`` is DOWNLOAD or UPLOAD.
    """

    operation: str
    objects: tuple[Pointer, ...]
    ref: str | None


@dataclass(frozen=True, slots=True)
class LockRequest:
    """A parsed request to create a lock; a lock without ``ref`` covers all."""

    path: str
    ref: str | None


@dataclass(frozen=True, slots=True)
class LockVerifyRequest:
    """A parsed request for ``locks/verify``."""

    ref: str | None
    cursor: str | None
    limit: int | None


@dataclass(frozen=True, slots=True)
class UnlockRequest:
    """A parsed request to delete a lock."""

    force: bool
    ref: str | None


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


def utc(seconds: float) -> str:
    """Return a POSIX time as RFC 3339 text in UTC.

    LFS clients expect the suffix "Z".
    """
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.strftime('%Y-%m-%dT%H:%M:%SZ')


def parse_document(data: bytes) -> dict[str, Any]:
    """Return the JSON object in ``data``.

    Raises BadRequest if the data is not JSON, and Invalid if it is JSON but
    not an object.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        # ValueError covers bad UTF-8 and numbers longer than Python parses.
        raise errors.BadRequest('the request body is not valid JSON') from None
    if not isinstance(document, dict):
        raise errors.Invalid('the request body must be a JSON object')
    return document


def _text(document: Mapping[str, Any], name: str, limit: int) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise errors.Invalid(f'"{name}" must be a string')
    return checked_text(value, name, limit)


def checked_text(value: str, name: str, limit: int) -> str:
    """Return ``value``.

    Raises Invalid if the text is empty, has more than ``limit`` bytes in
    UTF-8, cannot be encoded, or contains control characters. ``name`` is the
    member that the error message names.
    """
    try:
        length = len(value.encode('utf-8'))
    except UnicodeEncodeError:
        raise errors.Invalid(f'"{name}" is not valid Unicode') from None
    if not value or length > limit:
        raise errors.Invalid(f'"{name}" must have 1 to {limit} bytes')
    if _CONTROL.search(value):
        raise errors.Invalid(f'"{name}" contains control characters')
    return value


def _ref(document: Mapping[str, Any]) -> str | None:
    ref = document.get('ref')
    if ref is None:
        return None
    if not isinstance(ref, dict):
        raise errors.Invalid('"ref" must be an object with a "name"')
    if ref.get('name') in (None, ''):
        # git-lfs sends an empty name while HEAD is detached.
        return None
    return _text(ref, 'name', MAX_REF_BYTES)


def is_integer(value: object) -> bool:
    """Return whether a JSON value is an integer.

    ``true`` and ``1.0`` are not integers here, although Python's ``bool`` is a
    subclass of ``int``.
    """
    return isinstance(value, int) and not isinstance(value, bool)


def _pointer(entry: object) -> Pointer:
    if not isinstance(entry, dict):
        raise errors.Invalid('each of "objects" must be a JSON object')
    oid = entry.get('oid')
    size = entry.get('size')
    if not isinstance(oid, str):
        raise errors.Invalid('"oid" must be a string')
    if not is_integer(size):
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
    pointer = _pointer(parse_document(data))
    if pointer.problem is not None:
        raise errors.Invalid(pointer.problem)
    return pointer


def parse_batch(data: bytes, max_objects: int) -> BatchRequest:
    """Return a parsed batch request.

    Objects with a problem are kept, so that the response can report it for
    each of them. If all objects have one, the first is raised.

    Raises BadRequest, Invalid, Conflict (for an unknown hash algorithm) or
    TooLarge (for more than ``max_objects`` objects).
    """
    document = parse_document(data)
    operation = document.get('operation')
    if operation not in (DOWNLOAD, UPLOAD):
        raise errors.Invalid(f'"operation" must be "{DOWNLOAD}" or "{UPLOAD}"')
    _check_transfers(document.get('transfers'))
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
    return BatchRequest(operation, objects, _ref(document))


def _check_transfers(transfers: object) -> None:
    """Raise Invalid unless TRANSFER is among the client's transfer adapters.

    A client that names no adapter supports TRANSFER.
    """
    if transfers is None or transfers == []:
        return
    if not isinstance(transfers, list) or not all(
        isinstance(name, str) for name in transfers
    ):
        raise errors.Invalid('"transfers" must be an array of strings')
    if TRANSFER not in transfers:
        raise errors.Invalid(f'"transfers" must contain "{TRANSFER}"')


def encode_batch(results: Iterable[ObjectResult], now: float) -> bytes:
    """Return the response to a batch request; ``now`` is a POSIX time."""
    return encode(
        {
            'transfer': TRANSFER,
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
                'expires_at': utc(now + action.lifetime),
            }
            for name, action in result.actions.items()
        }
    return document


def parse_lock(data: bytes) -> LockRequest:
    """Return a parsed request to create a lock.

    Raises BadRequest or Invalid.
    """
    document = parse_document(data)
    path = _text(document, 'path', MAX_PATH_BYTES)
    return LockRequest(path, _ref(document))


def parse_lock_verify(data: bytes) -> LockVerifyRequest:
    """Return a parsed request for ``locks/verify``.

    An empty body asks for all locks. Raises BadRequest or Invalid.
    """
    document = parse_document(data or b'{}')
    cursor = document.get('cursor')
    if cursor is not None and not isinstance(cursor, str):
        raise errors.Invalid('"cursor" must be a string')
    limit = document.get('limit')
    if limit is not None and not is_integer(limit):
        raise errors.Invalid('"limit" must be an integer')
    return LockVerifyRequest(_ref(document), cursor or None, limit)


def parse_unlock(data: bytes) -> UnlockRequest:
    """Return a parsed request to delete a lock.

    An empty body means "without force". Raises BadRequest or Invalid.
    """
    document = parse_document(data or b'{}')
    force = document.get('force', False)
    if not isinstance(force, bool):
        raise errors.Invalid('"force" must be true or false')
    return UnlockRequest(force, _ref(document))


def encode_error(message: str) -> bytes:
    """Return the body of an error response."""
    return encode({'message': message})


def encode(document: Mapping[str, Any]) -> bytes:
    """Return compact JSON in ASCII."""
    return json.dumps(document, separators=(',', ':')).encode('ascii')
