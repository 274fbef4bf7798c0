# SPDX-License-Identifier: GPL-2.0-or-later
"""The JSON documents of Git LFS as dataclasses, and their validation.

Bytes in, frozen dataclasses out, and back.  Knows neither HTTP nor a store;
raises only what is in ``errors``.  Source of all member names:
docs/api/{batch,locking,basic-transfers}.md of the git-lfs project.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from .. import errors
from ..stores import blobs

MEDIA_TYPE = 'application/vnd.git-lfs+json'

HASH_ALGO = 'sha256'

# The only transfer adapter clients agree on.
TRANSFER = 'basic'

DOWNLOAD = 'download'
UPLOAD = 'upload'
VERIFY = 'verify'

# Sizes travel as JSON numbers and are kept in 64-bit integers by every client.
MAX_SIZE = 2**63 - 1

# Longest path Linux opens; a lock on a longer one cannot name a file.
MAX_PATH_BYTES = 4096

# Longest ref name git accepts is bounded by PATH_MAX as well.
MAX_REF_BYTES = 4096

_CONTROL = re.compile(r'[\x00-\x1f\x7f]')


@dataclass(frozen=True, slots=True)
class Pointer:
    """One object as a client names it; ``problem`` says why it is invalid."""

    oid: str
    size: int
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """A parsed request for ``objects/batch``."""

    operation: str
    objects: tuple[Pointer, ...]
    ref: str | None


@dataclass(frozen=True, slots=True)
class LockRequest:
    """A parsed request for a new lock."""

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
    """Where and how a client transfers one object; ``lifetime`` in seconds."""

    href: str
    header: Mapping[str, str]
    lifetime: int


@dataclass(frozen=True, slots=True)
class ObjectAnswer:
    """What a batch answers for one object: actions, an error, or neither."""

    oid: str
    size: int
    actions: Mapping[str, Action] = field(default_factory=dict)
    authenticated: bool = False
    error: tuple[int, str] | None = None


def utc(seconds: float) -> str:
    """RFC 3339 text of a POSIX time, in UTC with the Z LFS clients expect."""
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.strftime('%Y-%m-%dT%H:%M:%SZ')


def parse_document(data: bytes) -> dict[str, Any]:
    """The JSON object in ``data``.

    Raises BadRequest for what is not JSON, Invalid for JSON that is not an
    object.
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
    """``value`` if it is printable, encodable and short, else Invalid."""
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
        # git-lfs sends an empty name on a detached head
        return None
    return _text(ref, 'name', MAX_REF_BYTES)


def is_size(value: object) -> bool:
    """Whether a JSON value is an integer; True and 1.0 are none here."""
    return isinstance(value, int) and not isinstance(value, bool)


def _pointer(entry: object) -> Pointer:
    if not isinstance(entry, dict):
        raise errors.Invalid('each of "objects" must be a JSON object')
    oid = entry.get('oid')
    size = entry.get('size')
    if not isinstance(oid, str):
        raise errors.Invalid('"oid" must be a string')
    if not is_size(size):
        raise errors.Invalid('"size" must be an integer')
    assert isinstance(size, int)
    problem = None
    if not blobs.is_oid(oid):
        problem = '"oid" must be 64 lower-case hexadecimal digits'
    elif not 0 <= size <= MAX_SIZE:
        problem = f'"size" must be between 0 and {MAX_SIZE}'
    return Pointer(oid, size, problem)


def parse_pointer(data: bytes) -> Pointer:
    """The object a ``verify`` action names; Invalid if it is not valid."""
    pointer = _pointer(parse_document(data))
    if pointer.problem is not None:
        raise errors.Invalid(pointer.problem)
    return pointer


def parse_batch(data: bytes, max_objects: int) -> BatchRequest:
    """A batch request; objects with a problem are kept unless all have one.

    Raises BadRequest, Invalid, Conflict (hash algorithm), TooLarge.
    """
    document = parse_document(data)
    operation = document.get('operation')
    if operation not in (DOWNLOAD, UPLOAD):
        raise errors.Invalid(f'"operation" must be "{DOWNLOAD}" or "{UPLOAD}"')
    _check_transfers(document.get('transfers'))
    algorithm = document.get('hash_algo')
    if algorithm is not None and algorithm != HASH_ALGO:
        raise errors.Conflict(f'the only "hash_algo" served is "{HASH_ALGO}"')
    entries = document.get('objects')
    if not isinstance(entries, list):
        raise errors.Invalid('"objects" must be an array')
    if len(entries) > max_objects:
        raise errors.TooLarge(
            f'a batch may name {max_objects} objects, not {len(entries)}'
        )
    objects = tuple(_pointer(entry) for entry in entries)
    problems = [pointer.problem for pointer in objects if pointer.problem]
    if problems and len(problems) == len(objects):
        raise errors.Invalid(problems[0])
    return BatchRequest(operation, objects, _ref(document))


def _check_transfers(transfers: object) -> None:
    if transfers is None or transfers == []:
        return
    if not isinstance(transfers, list) or not all(
        isinstance(name, str) for name in transfers
    ):
        raise errors.Invalid('"transfers" must be an array of strings')
    if TRANSFER not in transfers:
        raise errors.Invalid(f'the only transfer served is "{TRANSFER}"')


def encode_batch(answers: Iterable[ObjectAnswer], now: float) -> bytes:
    """The response to a batch; ``now`` is a POSIX time."""
    return encode(
        {
            'transfer': TRANSFER,
            'objects': [_object(answer, now) for answer in answers],
            'hash_algo': HASH_ALGO,
        }
    )


def _object(answer: ObjectAnswer, now: float) -> dict[str, Any]:
    result: dict[str, Any] = {'oid': answer.oid, 'size': answer.size}
    if answer.error is not None:
        code, message = answer.error
        result['error'] = {'code': code, 'message': message}
    if answer.actions:
        if answer.authenticated:
            result['authenticated'] = True
        result['actions'] = {
            name: {
                'href': action.href,
                'header': dict(action.header),
                'expires_in': action.lifetime,
                'expires_at': utc(now + action.lifetime),
            }
            for name, action in answer.actions.items()
        }
    return result


def parse_lock(data: bytes) -> LockRequest:
    """A request for a new lock."""
    document = parse_document(data)
    path = _text(document, 'path', MAX_PATH_BYTES)
    return LockRequest(path, _ref(document))


def parse_lock_verify(data: bytes) -> LockVerifyRequest:
    """A request for our and their locks; an empty body asks for all."""
    document = parse_document(data or b'{}')
    cursor = document.get('cursor')
    if cursor is not None and not isinstance(cursor, str):
        raise errors.Invalid('"cursor" must be a string')
    limit = document.get('limit')
    if limit is not None and not is_size(limit):
        raise errors.Invalid('"limit" must be an integer')
    return LockVerifyRequest(_ref(document), cursor or None, limit)


def parse_unlock(data: bytes) -> UnlockRequest:
    """A request to delete a lock; an empty body means without force."""
    document = parse_document(data or b'{}')
    force = document.get('force', False)
    if not isinstance(force, bool):
        raise errors.Invalid('"force" must be true or false')
    return UnlockRequest(force, _ref(document))


def encode_error(message: str) -> bytes:
    """The body of every answer that is an error."""
    return encode({'message': message})


def encode(document: Mapping[str, Any]) -> bytes:
    """JSON without needless blanks, ASCII only."""
    return json.dumps(document, separators=(',', ':')).encode('ascii')
