# SPDX-License-Identifier: GPL-2.0-or-later
"""The requests of the locking API.

Parsers take bytes and return frozen dataclasses. This module knows neither HTTP
nor a store. The member names come from docs/api/locking.md of the git-lfs
project.
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import errors
from . import documents

# PATH_MAX of Linux: a lock on a longer path cannot name a file.
MAX_PATH_BYTES = 4096


@dataclass(frozen=True, slots=True)
class LockRequest:
    """A parsed request to create a lock; without ``ref`` it covers all refs."""

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


def canonical_path(path: str) -> str:
    """Return the path by which the repository knows a file.

    Clients on Windows may send backslashes, and people a leading "./" or "/".
    Raises Invalid if nothing is left.
    """
    segments = path.replace('\\', '/').split('/')
    canonical = '/'.join(name for name in segments if name not in ('', '.'))
    if not canonical:
        raise errors.Invalid('"path" must name a file')
    return canonical


def parse_lock(data: bytes) -> LockRequest:
    """Return a parsed request to create a lock.

    Raises BadRequest or Invalid.
    """
    document = documents.parse_document(data)
    path = documents.text_member(document, 'path', MAX_PATH_BYTES)
    return LockRequest(canonical_path(path), documents.ref_member(document))


def parse_lock_verify(data: bytes) -> LockVerifyRequest:
    """Return a parsed request for ``locks/verify``.

    An empty body asks for all locks. Raises BadRequest or Invalid.
    """
    document = documents.parse_document(data or b'{}')
    cursor = document.get('cursor')
    if cursor is not None and not isinstance(cursor, str):
        raise errors.Invalid('"cursor" must be a string')
    limit = document.get('limit')
    if limit is not None and not documents.is_integer(limit):
        raise errors.Invalid('"limit" must be an integer')
    return LockVerifyRequest(
        documents.ref_member(document), cursor or None, limit
    )


def parse_unlock(data: bytes) -> UnlockRequest:
    """Return a parsed request to delete a lock.

    An empty body means "without force". Raises BadRequest or Invalid.
    """
    document = documents.parse_document(data or b'{}')
    force = document.get('force', False)
    if not isinstance(force, bool):
        raise errors.Invalid('"force" must be true or false')
    return UnlockRequest(force, documents.ref_member(document))
