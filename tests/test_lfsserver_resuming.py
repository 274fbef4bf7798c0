# SPDX-License-Identifier: GPL-2.0-or-later
"""Resumable uploads (tus 1.0.0), over HTTP and in the stores."""

from __future__ import annotations

import os
import pathlib
import random
import socket
from collections.abc import Iterator

import pytest
from conftest import S3Server, wait_for
from helpers.lfsserver_http import (
    ABSENT,
    Answer,
    Server,
    chunked,
    head,
    oid_of,
    one,
)

from hgext3rd.lfsserver import errors
from hgext3rd.lfsserver.stores.blobs import PARTS_LIFETIME
from hgext3rd.lfsserver.stores.files import FileCreator
from hgext3rd.lfsserver.stores.local import LocalStore
from hgext3rd.lfsserver.stores.verdicts import VerdictCache

TUS = {'Tus-Resumable': '1.0.0'}


def content(seed: int, size: int = 300_000) -> bytes:
    return random.Random(seed).randbytes(size)


def address(data: bytes, size: int | None = None) -> str:
    length = len(data) if size is None else size
    return f'/open/.hg/lfs/uploads/{oid_of(data)}/{length}'


def patch(
    server: Server, path: str, offset: object, data: bytes, **fields: str
) -> Answer:
    headers = {
        **TUS,
        'Upload-Offset': str(offset),
        'Content-Type': 'application/offset+octet-stream',
        **{name.replace('_', '-'): value for name, value in fields.items()},
    }
    return server.request('PATCH', path, data, headers)


def offset_of(server: Server, path: str) -> int:
    answer = server.request('HEAD', path, headers=TUS)
    assert answer.status == 200
    assert answer.headers['Tus-Resumable'] == '1.0.0'
    assert answer.headers['Cache-Control'] == 'no-store'
    return int(answer.headers['Upload-Offset'])


def patch_head(path: str, *fields: str) -> bytes:
    """Return the head of a request that begins an upload."""
    return head(
        'PATCH',
        path,
        'Tus-Resumable: 1.0.0',
        'Upload-Offset: 0',
        'Content-Type: application/offset+octet-stream',
        *fields,
    )


def test_upload_in_pieces(server: Server) -> None:
    data = content(1)
    path = address(data)
    assert offset_of(server, path) == 0
    for start, stop in [(0, 100_000), (100_000, 100_001), (100_001, 300_000)]:
        answer = patch(server, path, start, data[start:stop])
        assert answer.status == 204
        assert answer.headers['Upload-Offset'] == str(stop)
        assert offset_of(server, path) == stop
        assert ('Upload-Expires' in answer.headers) == (stop < len(data))
    assert server.get(oid_of(data)).body == data
    assert not any('.upload-' in name for name in server.files())
    assert patch(server, path, len(data), b'').status == 409


def test_what_arrived_of_a_broken_request_is_kept(server: Server) -> None:
    data = content(2)
    path = address(data)
    server.raw(
        patch_head(path, f'Content-Length: {len(data)}') + data[:123_456],
        shut=True,
    )
    wait_for(lambda: offset_of(server, path) == 123_456, 'the piece')
    assert patch(server, path, 123_456, data[123_456:]).status == 204
    assert server.get(oid_of(data)).body == data


def test_newer_request_takes_over(server: Server) -> None:
    """A connection that hangs does not keep the client from going on."""
    data = content(3)
    path = address(data)
    with socket.create_connection(('127.0.0.1', server.port)) as hanging:
        # WSGI servers hand out whole blocks.
        hanging.sendall(
            patch_head(path, f'Content-Length: {len(data)}') + data[:262_144]
        )
        wait_for(lambda: offset_of(server, path) == 262_144, 'the piece')
        assert patch(server, path, 262_144, data[262_144:]).status == 204
        hanging.sendall(bytes(len(data) - 262_144))
        assert hanging.recv(100).startswith(b'HTTP/1.1 409 ')
    assert server.get(oid_of(data)).body == data


def test_chunked_piece(server: Server) -> None:
    data = content(4, 1000)
    path = address(data)
    fields = ['Transfer-Encoding: chunked', 'Connection: close']
    answer = server.raw(patch_head(path, *fields) + chunked(data))
    assert answer.startswith(b'HTTP/1.1 204 ')
    assert server.get(oid_of(data)).body == data


def test_empty_object(server: Server) -> None:
    """git-lfs sends HEAD only."""
    assert offset_of(server, address(b'')) == 0
    assert server.get(oid_of(b'')).status == 200


@pytest.mark.usefixtures('untouched')
def test_wrong_content(server: Server) -> None:
    path = address(b'right', 5)
    answer = patch(server, path, 0, b'wrong')
    assert answer.status == 422
    assert answer.message == 'the content does not match its oid'
    assert offset_of(server, path) == 0


@pytest.mark.parametrize(
    'fields, status',
    [
        ({'Tus_Resumable': '0.2.2'}, 412),
        ({'Tus_Resumable': ''}, 412),
        ({'Content_Type': 'application/octet-stream'}, 415),
        ({'Upload_Offset': '-1'}, 400),
        ({'Upload_Offset': 'x'}, 400),
        ({'Upload_Offset': '9' * 5000}, 400),
        ({'Upload_Offset': '1'}, 409),
        ({'Upload_Offset': '4'}, 413),
        ({'Upload_Offset': '99'}, 413),
    ],
)
@pytest.mark.usefixtures('untouched')
def test_invalid_requests(
    server: Server, fields: dict[str, str], status: int
) -> None:
    answer = patch(server, address(b'right', 5), 0, b'ri', **fields)
    assert answer.status == status
    assert answer.message
    if status == 412:
        assert answer.headers['Tus-Version'] == '1.0.0'


@pytest.mark.parametrize(
    'name, status',
    [
        ('x/5', 404),
        (f'{ABSENT}/-5', 404),
        (f'{ABSENT}/x', 404),
        (f'{ABSENT}/{"9" * 30}', 404),
        (f'{ABSENT}/1000001', 404),
        (f'{ABSENT}/2000000', 413),
        (ABSENT, 404),
    ],
)
@pytest.mark.usefixtures('untouched')
def test_invalid_addresses(server: Server, name: str, status: int) -> None:
    path = f'/open/.hg/lfs/uploads/{name}'
    if status == 404 and name.endswith('1000001'):
        assert offset_of(server, path) == 0
        return
    assert patch(server, path, 0, b'abc').status == status
    assert server.request('HEAD', path, headers=TUS).status == status


@pytest.mark.usefixtures('untouched', 'guarded')
def test_permissions(server: Server) -> None:
    path = address(b'abc').replace('/open/', '/nested/guarded/')
    for user, status in [(None, 401), ('carol', 403), ('alice', 200)]:
        answer = server.request('HEAD', path, headers=TUS, user=user)
        assert answer.status == status
    headers = {**TUS, 'Upload-Offset': '0'}
    for user, status in [(None, 401), ('carol', 403), ('alice', 415)]:
        answer = server.request('PATCH', path, b'ab', headers, user)
        assert answer.status == status


def test_batch(server: Server) -> None:
    document = {**one(), 'transfers': ['basic', 'tus']}
    answer = server.batch(document).json
    assert answer['transfer'] == 'tus'
    actions = answer['objects'][0]['actions']
    assert actions['upload']['href'].endswith(f'/.hg/lfs/uploads/{ABSENT}/5')
    assert actions['verify']['href'].endswith(f'/{ABSENT}/verify')
    for name, value in [('transfers', ['basic']), ('operation', 'download')]:
        answer = server.batch({**document, name: value}).json
        assert answer['transfer'] == 'basic'


class PartsConformance:
    """The tests that the uploads of every store pass."""

    @pytest.fixture
    def store(self, tmp_path: pathlib.Path) -> LocalStore:
        raise AssertionError('subclasses provide a store')

    def test_pieces(self, store: LocalStore) -> None:
        data = content(5, 20 << 20)
        oid, size = oid_of(data), len(data)
        parts = store.partials
        position = 0
        for end in (1, 5_000_000, 8 << 20, (16 << 20) + 5, size):
            with pytest.raises(errors.Conflict):
                parts.append(oid, size, position + 1, [b'x'])
            assert (
                parts.append(oid, size, position, [data[position:end]]) == end
            )
            assert parts.offset(oid, size) == (0 if end == size else end)
            position = end
        assert b''.join(store.read(store.examine([oid])[oid], 0, size)) == data
        assert store.usage().total(()) == size

    def test_broken_piece(self, store: LocalStore) -> None:
        data = content(6)
        oid, size = oid_of(data), len(data)

        def broken() -> Iterator[bytes]:
            yield data[:1000]
            raise errors.ShortBody('cut')

        with pytest.raises(errors.ShortBody):
            store.partials.append(oid, size, 0, broken())
        assert store.partials.offset(oid, size) == 1000
        store.partials.finish(oid, size)
        assert store.partials.offset(oid, size) == 1000
        assert store.usage().total(()) == 1000
        assert store.usage().total({oid}) == 0

    def test_wrong_content(self, store: LocalStore) -> None:
        store.partials.append(ABSENT, 5, 0, [b'wro'])
        with pytest.raises(errors.Invalid):
            store.partials.append(ABSENT, 5, 3, [b'ng'])
        assert store.usage().total(()) == 0
        assert store.partials.offset(ABSENT, 5) == 0

    def test_sweep(self, store: LocalStore) -> None:
        store.partials.append(ABSENT, 5, 0, [b'abc'])
        assert store.sweep(0) == 0
        assert store.sweep(9e9) == 1
        assert store.partials.offset(ABSENT, 5) == 0


class TestLocalParts(PartsConformance):
    @pytest.fixture
    def store(self, tmp_path: pathlib.Path) -> LocalStore:
        verdicts = VerdictCache(str(tmp_path / 'verdicts'))
        return LocalStore(str(tmp_path / 'lfs'), verdicts, FileCreator())

    def test_finished_after_a_kill(self, store: LocalStore) -> None:
        """All bytes have arrived, but the server was killed before the check."""
        data = content(7, 5)
        store.partials.append(oid_of(data), 5, 0, [data[:3]])
        folder = os.path.dirname(store.path(oid_of(data)))
        (name,) = os.listdir(folder)
        with open(os.path.join(folder, name), 'ab') as file:
            file.write(data[3:])
        store.partials.finish(oid_of(data), 5)
        assert store.examine([oid_of(data)])
        assert os.listdir(folder) == [oid_of(data)[2:]]

    def test_expired_upload_is_removed(self, store: LocalStore) -> None:
        store.partials.append(ABSENT, 5, 0, [b'abc'])
        folder = os.path.dirname(store.path(ABSENT))
        path = os.path.join(folder, os.listdir(folder)[0])
        store.partials._searched = float('-inf')
        state = os.stat(path)
        old = state.st_mtime - PARTS_LIFETIME - 60
        os.utime(path, (old, old))
        store.partials.append('2' * 64, 5, 0, [b'abc'])
        assert store.partials.offset(ABSENT, 5) == 0
        assert store.partials.offset('2' * 64, 5) == 3


class TestObjectParts(PartsConformance):
    @pytest.fixture
    def store(self, tmp_path: pathlib.Path) -> LocalStore:
        pytest.importorskip('obstore')
        from hgext3rd.lfsserver.stores.byurl import open_store

        url = (tmp_path / 'bucket').as_uri()
        return open_store(url, {}, signed=False)  # type: ignore[return-value]


@pytest.mark.needs('s3')
class TestS3Parts(PartsConformance):
    @pytest.fixture
    def store(self, s3: S3Server, tmp_path: pathlib.Path) -> LocalStore:
        from hgext3rd.lfsserver.stores.byurl import open_store

        options = {
            'endpoint': s3.endpoint,
            'access_key_id': 'testing',
            'secret_access_key': 'testing',
            'region': 'us-east-1',
        }
        url = f's3://{s3.bucket}{tmp_path}'
        return open_store(url, options, signed=True)  # type: ignore[return-value]
