# SPDX-License-Identifier: GPL-2.0-or-later
"""The handlers of the locking API.

They translate JSON documents and queries to calls of ``stores.locks``. Source:
docs/api/locking.md of the git-lfs project.
"""

from __future__ import annotations

from typing import Any

from .. import errors
from ..formats import documents, lockrequests
from ..stores.locks import Lock, LockHeld, LockStore
from .endpoint import Endpoint
from .messages import MAX_DOCUMENT, LfsRequest, LfsResponse, json_response

# The owner of locks on a server that does not authenticate users.
ANONYMOUS = 'anonymous'


def _locks(endpoint: Endpoint) -> LockStore:
    if endpoint.locks is None:
        # git-lfs continues without locks if the status is 404.
        raise errors.NotFound('file locks are disabled on this server')
    return endpoint.locks


def _owner(request: LfsRequest) -> str:
    return request.user or ANONYMOUS


def _document(lock: Lock) -> dict[str, Any]:
    return {
        'id': lock.id,
        'path': lock.path,
        'locked_at': documents.utc(lock.locked_at),
        'owner': {'name': lock.owner},
    }


def create(endpoint: Endpoint, request: LfsRequest) -> LfsResponse:
    """Create a lock: answer 201, or 409 with the lock that already exists."""
    locks = _locks(endpoint)
    wanted = lockrequests.parse_lock(request.document(MAX_DOCUMENT))
    try:
        lock = locks.create(
            wanted.path, wanted.ref, _owner(request), endpoint.now()
        )
    except LockHeld as held:
        return json_response(
            held.status,
            documents.encode(
                {'lock': _document(held.lock), 'message': held.message}
            ),
        )
    endpoint.log(f'locked {lock.path} for {lock.owner}')
    return json_response(201, documents.encode({'lock': _document(lock)}))


def _query_text(request: LfsRequest, name: str, limit: int) -> str | None:
    value = request.query.get(name)
    if not value:
        return None
    return documents.checked_text(value, name, limit)


def _query_limit(request: LfsRequest) -> int | None:
    value = request.query.get('limit')
    if not value:
        return None
    if not value.isascii() or not value.isdigit() or len(value) > 18:
        raise errors.Invalid('"limit" must be an integer')
    return int(value)


def listing(endpoint: Endpoint, request: LfsRequest) -> LfsResponse:
    """Answer with a page of the locks that match the filters of the query."""
    path = _query_text(request, 'path', lockrequests.MAX_PATH_BYTES)
    page = _locks(endpoint).page(
        path=None if path is None else lockrequests.canonical_path(path),
        lock_id=_query_text(request, 'id', 64),
        ref=_query_text(request, 'refspec', documents.MAX_REF_BYTES),
        cursor=request.query.get('cursor') or None,
        limit=_query_limit(request),
    )
    document: dict[str, Any] = {
        'locks': [_document(lock) for lock in page.locks]
    }
    if page.next_cursor is not None:
        document['next_cursor'] = page.next_cursor
    return json_response(200, documents.encode(document))


def verify(endpoint: Endpoint, request: LfsRequest) -> LfsResponse:
    """Answer with a page of locks, separated by owner.

    "ours" are the locks of the user; "theirs" are those of others, for which
    git-lfs refuses to push.
    """
    locks = _locks(endpoint)
    wanted = lockrequests.parse_lock_verify(request.document(MAX_DOCUMENT))
    page = locks.page(ref=wanted.ref, cursor=wanted.cursor, limit=wanted.limit)
    owner = _owner(request)
    document: dict[str, Any] = {'ours': [], 'theirs': []}
    for lock in page.locks:
        side = 'ours' if lock.owner == owner else 'theirs'
        document[side].append(_document(lock))
    if page.next_cursor is not None:
        document['next_cursor'] = page.next_cursor
    return json_response(200, documents.encode(document))


def unlock(
    endpoint: Endpoint, request: LfsRequest, lock_id: str
) -> LfsResponse:
    """Delete a lock.

    Any user who may push can delete the locks of others by force.
    """
    locks = _locks(endpoint)
    wanted = lockrequests.parse_unlock(request.document(MAX_DOCUMENT))
    lock = locks.delete(lock_id, _owner(request), wanted.force)
    endpoint.log(f'unlocked {lock.path} of {lock.owner}')
    return json_response(200, documents.encode({'lock': _document(lock)}))
