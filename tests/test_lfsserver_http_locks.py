# SPDX-License-Identifier: GPL-2.0-or-later
"""The locking API over HTTP."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest
from helpers.lfsserver_http import GUARDED_PATH, Answer, Server

pytestmark = pytest.mark.usefixtures('guarded')


class Locks:
    """Calls the locking API as one user."""

    def __init__(self, server: Server, user: str) -> None:
        self._server = server
        self._user = user

    def __call__(self, method: str, path: str = '', body: Any = None) -> Answer:
        path = f'{GUARDED_PATH}/.git/info/lfs/locks{path}'
        return self._server.request(method, path, body, user=self._user)

    def lock(self, path: str, ref: str | None = None) -> str:
        body: dict[str, Any] = {'path': path}
        if ref is not None:
            body['ref'] = {'name': ref}
        answer = self('POST', body=body)
        assert answer.status == 201
        lock = answer.json['lock']
        assert lock['path'] == path
        assert lock['owner'] == {'name': self._user}
        assert lock['locked_at'].endswith('Z')
        lock_id: str = lock['id']
        return lock_id

    def paths(self, query: str = '') -> list[str]:
        return [lock['path'] for lock in self('GET', query).json['locks']]


@pytest.fixture
def alice(server: Server) -> Iterator[Locks]:
    locks = Locks(server, 'alice')
    yield locks
    for lock in locks('GET').json['locks']:
        locks('POST', f'/{lock["id"]}/unlock', {'force': True})


@pytest.fixture
def bob(server: Server) -> Locks:
    return Locks(server, 'bob')


def test_lock_and_unlock(alice: Locks, bob: Locks) -> None:
    lock_id = alice.lock('a.bin')
    clash = bob('POST', body={'path': 'a.bin'})
    assert clash.status == 409
    assert clash.json['lock']['id'] == lock_id
    assert 'alice' in clash.message
    assert bob('POST', f'/{lock_id}/unlock', {}).status == 403
    assert bob.paths() == ['a.bin']
    done = alice('POST', f'/{lock_id}/unlock', {'force': False})
    assert done.status == 200
    assert done.json['lock']['id'] == lock_id
    assert alice('POST', f'/{lock_id}/unlock', {}).status == 404
    assert bob.paths() == []


def test_force_unlock(alice: Locks, bob: Locks) -> None:
    lock_id = alice.lock('a.bin')
    reader = Locks(alice._server, 'carol')
    force = {'force': True}
    assert reader('POST', f'/{lock_id}/unlock', force).status == 403
    assert bob('POST', f'/{lock_id}/unlock', force).status == 200
    assert alice.paths() == []


def test_lock_refs(alice: Locks, bob: Locks) -> None:
    alice.lock('a', 'refs/heads/main')
    bob.lock('a', 'refs/heads/next')
    bob.lock('b')
    assert alice('POST', body={'path': 'a'}).status == 409
    clash = {'path': 'b', 'ref': {'name': 'refs/heads/main'}}
    assert alice('POST', body=clash).status == 409
    assert alice.paths('?refspec=refs/heads/main') == ['a', 'b']
    assert alice.paths('?refspec=refs/heads/other') == ['b']
    assert alice.paths() == ['a', 'a', 'b']
    answer = alice('POST', '/verify', {'ref': {'name': 'refs/heads/main'}})
    assert [lock['path'] for lock in answer.json['ours']] == ['a']
    assert [lock['path'] for lock in answer.json['theirs']] == ['b']


def test_lock_pages(alice: Locks, bob: Locks) -> None:
    for number in range(5):
        (alice if number % 2 else bob).lock(f'f{number}')
    seen = []
    query = '?limit=2'
    while True:
        answer = alice('GET', query).json
        assert len(answer['locks']) <= 2
        seen += [lock['path'] for lock in answer['locks']]
        if 'next_cursor' not in answer:
            break
        query = f'?limit=2&cursor={answer["next_cursor"]}'
    assert seen == [f'f{number}' for number in range(5)]
    answer = alice('POST', '/verify', {'limit': 4}).json
    assert [lock['path'] for lock in answer['ours']] == ['f1', 'f3']
    assert [lock['path'] for lock in answer['theirs']] == ['f0', 'f2']
    rest = alice('POST', '/verify', {'cursor': answer['next_cursor']}).json
    assert [lock['path'] for lock in rest['theirs']] == ['f4']


def test_lock_filters(alice: Locks) -> None:
    lock_id = alice.lock('dir/ä b.bin')
    alice.lock('other')
    assert alice.paths('?path=dir/%C3%A4%20b.bin') == ['dir/ä b.bin']
    assert alice.paths(f'?id={lock_id}') == ['dir/ä b.bin']
    assert alice.paths('?id=nothing') == []
    assert alice.paths('?path=other&limit=1') == ['other']


@pytest.mark.parametrize(
    'method, path, body, status',
    [
        ('POST', '', {}, 422),
        ('POST', '', {'path': ''}, 422),
        ('POST', '', {'path': 5}, 422),
        ('POST', '', {'path': 'x' * 5000}, 422),
        ('POST', '', {'path': 'a\0b'}, 422),
        ('POST', '', {'path': '\ud800'}, 422),
        ('POST', '', {'path': 'a', 'ref': []}, 422),
        ('POST', '', ['a'], 422),
        ('GET', '?limit=x', None, 422),
        ('GET', '?limit=0', None, 422),
        ('GET', '?limit=-1', None, 422),
        ('GET', '?cursor=x', None, 422),
        ('GET', '?cursor=' + '9' * 50, None, 422),
        ('POST', '/verify', {'limit': 'x'}, 422),
        ('POST', '/verify', {'limit': 0}, 422),
        ('POST', '/verify', {'cursor': 5}, 422),
        ('POST', '/1/unlock', {'force': 'yes'}, 422),
        ('POST', '/1/unlock', {}, 404),
        ('PUT', '', {}, 405),
        ('GET', '/1/unlock', None, 405),
        ('GET', '/1/2/3', None, 404),
    ],
)
def test_invalid_lock_requests(
    alice: Locks, method: str, path: str, body: Any, status: int
) -> None:
    answer = alice(method, path, body)
    assert answer.status == status
    assert answer.message


@pytest.mark.parametrize(
    'path',
    ['/dir/a b', './dir/a b', 'dir\\a b', '.\\dir\\a b', '//dir/./a b/'],
)
def test_one_path(server: Server, path: str) -> None:
    """All spellings of a path share one lock."""
    locks = '/open/info/lfs/locks'
    created = server.request('POST', locks, {'path': path})
    assert created.status == 201
    assert created.json['lock']['path'] == 'dir/a b'
    assert server.request('POST', locks, {'path': 'dir/a b'}).status == 409
    query = urllib.parse.urlencode({'path': path})
    (found,) = server.request('GET', f'{locks}?{query}').json['locks']
    assert found == created.json['lock']
    unlock = f'{locks}/{found["id"]}/unlock'
    assert server.request('POST', unlock, {'force': True}).status == 200
    for nothing in ('/', './', '\\'):
        assert server.request('POST', locks, {'path': nothing}).status == 422
