# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers of several repositories, which stay open between LFS requests.

All changes of permissions and of the configuration apply to the next request.
The server is the recommended deployment. Answers of hgweb would be just as right,
so an extension makes it fail.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from helpers.lfsserver_deployment import Deployment
from helpers.lfsserver_http import CONTENT, JSON_FIELDS, Answer, oid_of, started

# Pages of hgweb fail, but the wrappers declare that LFS requests may skip them.
# This is how hgweb says that it knows no repository, and how it fails.
BROKEN_HGWEB = """
from mercurial import extensions
from hgext3rd.amalgam import wrapping
from hgext3rd.amalgam import compat
@wrapping.own_addresses_only
def fail(orig, self, req, res, *args):
    res.status = b'418 hgweb'
    res.setbodybytes(b'')
    return res.sendresponse()
def uisetup(ui):
    for application in (
        compat.hgweb_module().hgweb,
        compat.hgwebdir_module().hgwebdir,
    ):
        extensions.wrapfunction(application, '_runwsgi', fail)
"""

OID = oid_of(CONTENT)
OBJECT = f'.hg/lfs/objects/{OID}'
BY_HGWEB = 418


class Known(Deployment):
    """A deployment that has ``CONTENT`` in the repository "a"."""

    def ask(
        self,
        method: str = 'GET',
        repo: str = 'a',
        path: str = OBJECT,
        body: Any = None,
        user: str | None = 'alice',
    ) -> Answer:
        headers = {'X-Forwarded-Proto': 'https'}
        if user is not None:
            headers['X-Remote-User'] = user
        return self.request(method, f'/{repo}/{path}', body, headers)

    def send(self, user: str | None = 'alice') -> int:
        return self.ask('PUT', body=CONTENT, user=user).status

    def hgrc(self, text: str, repo: str = 'a') -> None:
        (self.folder / repo / '.hg' / 'hgrc').write_text(text)


@pytest.fixture
def server(tmp_path: pathlib.Path) -> Iterator[Known]:
    pytest.importorskip('gunicorn')
    extension = tmp_path / 'broken.py'
    extension.write_text(BROKEN_HGWEB)
    extra = f'[extensions]\nbroken = {extension}\n'
    server = Known(tmp_path, extra)
    with started(server):
        assert server.send() == 201
        assert server.request('GET', '/a').status == BY_HGWEB
        yield server


def test_all_kinds_of_requests(server: Known) -> None:
    pointer = {'oid': OID, 'size': len(CONTENT)}
    batch = {'operation': 'download', 'objects': [pointer]}
    api = '.git/info/lfs'
    answer = server.ask('POST', path=f'{api}/objects/batch', body=batch)
    (found,) = answer.json['objects']
    href = found['actions']['download']['href']
    assert href == f'https://127.0.0.1:{server.port}/a/{OBJECT}'
    assert server.ask().body == CONTENT
    assert server.ask('HEAD').headers['Content-Length'] == str(len(CONTENT))
    assert server.ask('POST', path=f'{OBJECT}/verify', body=pointer).json == (
        pointer
    )
    lock = {'path': 'x'}
    answer = server.ask('POST', path=f'{api}/locks', body=lock)
    assert answer.json['lock']['owner'] == {'name': 'alice'}
    answer = server.ask(path=f'{api}/locks?path=%C3%A4')
    assert answer.json['locks'] == []
    answer = server.ask('POST', path=f'{api}/locks/verify', body={}, user='bob')
    assert [lock['path'] for lock in answer.json['theirs']] == ['x']
    assert server.ask('PATCH', path=f'{api}/locks').status == 405
    assert server.ask(repo='b').status == 404
    assert server.ask(repo='c').status == BY_HGWEB


def test_users(server: Known) -> None:
    server.hgrc('[web]\nallow_read = alice, bob\nallow-push = bob\n')
    answers = [(server.ask(user=u).status, server.send(u)) for u in USERS]
    assert answers == [(401, 401), (200, 403), (200, 200), (403, 403)]


USERS = (None, 'alice', 'bob', 'carol')

# What makes requests of "alice" for the repository "a" answer 403.
DENIED = '[web]\ndeny_read = alice\n'


@pytest.mark.parametrize(
    'name',
    ['a/.hg/hgrc', 'a/.hg/hgrc-not-shared', 'hgweb.conf', 'rc/user.rc'],
)
def test_file_of_the_configuration(server: Known, name: str) -> None:
    """Written, overwritten at once, included from, and removed."""
    path = server.folder / name
    before = path.read_text() if path.exists() else ''
    included = server.folder / 'included.rc'
    for text, more, status in [
        (DENIED, '', 403),
        (DENIED.replace('alice', 'carol'), '', 200),
        (DENIED, '', 403),
        (f'%include {included}\n', '', 200),
        (f'%include {included}\n', DENIED, 403),
        (f'%include {included}\n', DENIED.replace('alice', 'carol'), 200),
    ]:
        path.write_text(before + text)
        if more:
            included.write_text(more)
        assert server.ask().status == status, text
    included.write_text(DENIED)
    assert server.ask().status == 403
    included.unlink()
    assert server.ask().status == 200
    path.write_text(before + DENIED)
    assert server.ask().status == 403
    if before:
        path.write_text(before)
    else:
        path.unlink()
    assert server.ask().status == 200


def test_file_replaced_by_one_of_the_same_age_and_size(server: Known) -> None:
    server.hgrc(DENIED.replace('alice', 'carol'))
    assert server.ask().status == 200
    path = server.folder / 'a' / '.hg' / 'hgrc'
    before = path.stat()
    path.write_text(DENIED)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert server.ask().status == 403


@pytest.mark.parametrize('name', ['a/.hg/hgrc', 'hgweb.conf'])
def test_broken_configuration(server: Known, name: str) -> None:
    """No request is permitted while the configuration cannot be read."""
    path = server.folder / name
    before = path.read_text() if path.exists() else ''
    path.write_text('this is no configuration\n')
    answer = server.ask()
    assert answer.status == 500
    assert answer.message == 'the repository cannot be opened'
    assert 'no configuration' in server.log.read_text()
    path.write_text(before)
    assert server.ask().body == CONTENT


def test_paths(server: Known) -> None:
    """Repositories are added, renamed and removed in the configuration."""
    text = server.conf.read_text()
    path = f'/a = {server.folder}/a\n'
    assert path in text
    server.conf.write_text(text.replace(path, f'/c/d = {server.folder}/a\n'))
    assert server.ask(repo='c/d').body == CONTENT
    assert server.ask().status == BY_HGWEB
    server.conf.write_text(text.replace(path, f'/a = {server.folder}/b\n'))
    assert server.ask().status == 404
    assert server.ask(repo='c/d').status == BY_HGWEB
    server.conf.write_text(text)
    assert server.ask().body == CONTENT


def test_longest_name_counts(server: Known) -> None:
    text = server.conf.read_text()
    server.conf.write_text(
        text.replace('[paths]\n', f'[paths]\n/a/b = {server.folder}/b\n')
    )
    assert server.ask(repo='a').body == CONTENT
    assert server.ask(repo='a/b').status == 404
    # Also the repository at the root.
    server.conf.write_text(
        text.replace('[paths]\n', f'[paths]\n/ = {server.folder}/a\n')
    )
    assert server.request('GET', f'/{OBJECT}').body == CONTENT
    assert server.ask(repo='b').status == 404


@pytest.mark.parametrize('pattern', ['', '/*'])
def test_replaced_repository(server: Known, pattern: str) -> None:
    """Another repository takes the place of the first, which comes back."""
    if pattern:
        text = server.conf.read_text()
        found = re.sub(r'(?m)^/[ab] = .*\n', '', text)
        path = f'[paths]\n/ = {server.folder}{pattern}\n'
        server.conf.write_text(found.replace('[paths]\n', path))
    assert server.ask().body == CONTENT
    root, away = server.folder / 'a', server.folder / 'rc' / 'away'
    root.rename(away)
    if pattern:
        assert server.ask().status == BY_HGWEB
    else:
        assert server.ask().status == 500
    server.create(root)
    # hgwebdir looks for new repositories only now and then.
    server.conf.write_text(server.conf.read_text() + '\n')
    assert server.ask().status == 404
    shutil.rmtree(root)
    away.rename(root)
    server.conf.write_text(server.conf.read_text() + '\n')
    assert server.ask().body == CONTENT


def test_link_to_another_repository(server: Known) -> None:
    link = server.folder / 'link'
    link.symlink_to(server.folder / 'a')
    text = server.conf.read_text()
    server.conf.write_text(
        text.replace(f'/a = {server.folder}/a\n', f'/a = {link}\n')
    )
    assert server.ask().body == CONTENT
    link.unlink()
    link.symlink_to(server.folder / 'b')
    assert server.ask().status == 404


def test_requirements(server: Known) -> None:
    """A repository that this Mercurial does not support is not served."""
    path = server.folder / 'a' / '.hg' / 'requires'
    before = path.read_text()
    path.write_text(f'{before}unheard-of\n')
    answer = server.ask()
    assert answer.status == 500
    assert 'unheard-of' in server.log.read_text()
    path.write_text(before)
    assert server.ask().body == CONTENT


def test_disabled(server: Known) -> None:
    server.hgrc('[lfsserver]\nserve = no\n')
    assert server.ask().status == BY_HGWEB
    server.hgrc('')
    assert server.ask().body == CONTENT


def test_security_policy(server: Known) -> None:
    assert 'Content-Security-Policy' not in server.ask().headers
    server.conf.write_text(server.conf.read_text() + '[web]\ncsp = x-%nonce%\n')
    policies = {server.ask().headers['Content-Security-Policy'] for _ in 'ab'}
    assert len(policies) == 2


def test_blackbox(server: Known) -> None:
    """Lines that threads write at the same time are all there."""

    def get() -> None:
        for _ in range(20):
            assert server.ask().body == CONTENT

    threads = [threading.Thread(target=get) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    text = (server.folder / 'a' / '.hg' / 'blackbox.log').read_text()
    assert text.count(f'sending {OID}') == 80


def test_refused_body(server: Known) -> None:
    """A refusal does not wait for the body, and is no danger to the next."""
    server.hgrc('[web]\nallow-push = bob\n')
    assert server.send() == 403
    fields = {**JSON_FIELDS, 'X-Remote-User': 'alice'}
    lines = [
        f'PUT /a/{OBJECT} HTTP/1.1',
        'Host: h',
        'Content-Length: 100000000',
    ]
    lines += [f'{name}: {value}' for name, value in fields.items()]
    received = server.raw('\r\n'.join([*lines, '', 'x']).encode())
    assert received.startswith(b'HTTP/1.1 403 ')
