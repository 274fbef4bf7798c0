# SPDX-License-Identifier: GPL-2.0-or-later
"""Object stores: the conformance class of all stores, and signed links."""

from __future__ import annotations

import json
import pathlib
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from conftest import S3Server
from helpers.lfsserver_http import oid_of
from test_lfsserver_stores import ABSENT, BlobStoreConformance, Store

from hgext3rd.lfsserver import errors
from hgext3rd.lfsserver.api import batch
from hgext3rd.lfsserver.api.endpoint import Endpoint, Limits, TransferGate
from hgext3rd.lfsserver.api.messages import LfsRequest
from hgext3rd.lfsserver.stores.blobs import Blob

pytest.importorskip('obstore')

from hgext3rd.lfsserver.stores import byurl, objectclient, signedstore
from hgext3rd.lfsserver.stores.signedstore import SignedObjectStore


@dataclass
class Body:
    """The body of a request that has arrived."""

    data: bytes
    chunked = False

    @property
    def length(self) -> int:
        return len(self.data)

    def blocks(self) -> Iterator[bytes]:
        yield self.data


def request_of(document: Any) -> LfsRequest:
    return LfsRequest(
        method='POST',
        query={},
        headers={'content-type': 'application/vnd.git-lfs+json'},
        body=Body(json.dumps(document).encode()),
        user=None,
        permit=lambda operation: None,
    )


class TestFolder(BlobStoreConformance):
    """An object store on a local disk."""

    @pytest.fixture
    def store(self, tmp_path: pathlib.Path) -> Store:
        self.root = tmp_path / 'objects of all'
        url = 'file://' + str(self.root).replace(' ', '%20')
        store = byurl.open_store(url, {}, signed=True)
        assert not isinstance(store, SignedObjectStore)
        return store

    def damage(self, oid: str) -> None:
        (self.root / 'objects' / oid[:2] / oid[2:]).write_bytes(b'damage')


@pytest.mark.needs('s3')
class TestS3Proxied(BlobStoreConformance):
    """An S3 bucket whose content passes through this server."""

    SIGNED = False

    @pytest.fixture
    def store(self, s3: S3Server, request: Any) -> Store:
        self.prefix = f'lfs/{type(self).__name__}/{time.monotonic_ns()}'
        options = {
            'endpoint': s3.endpoint,
            'access_key_id': 'testing',
            'secret_access_key': 'testing',
            'region': 'us-east-1',
        }
        self.options = options
        self.url = f's3://{s3.bucket}/{self.prefix}'
        self.http = f'{s3.endpoint}/{s3.bucket}'
        store = byurl.open_store(self.url, options, signed=self.SIGNED)
        assert isinstance(store, SignedObjectStore) is self.SIGNED
        return store

    def overwrite(self, key: str, data: bytes) -> None:
        import obstore

        store = obstore.store.from_url(
            self.url, config=self.options, client_options={'allow_http': True}
        )
        obstore.put(store, key, data)

    def damage(self, oid: str) -> None:
        self.overwrite(f'objects/{oid[:2]}/{oid[2:]}', b'damage')

    def test_missing_bucket(self, store: Store) -> None:
        """It is not taken for missing blobs."""
        missing = byurl.open_store(
            's3://missing/x', self.options, signed=self.SIGNED
        )
        calls: list[Callable[[], object]] = [
            lambda: missing.examine([ABSENT]),
            lambda: missing.examine([ABSENT, oid_of(self.SMALL)]),
            lambda: missing.put(oid_of(self.SMALL), [self.SMALL], None),
            lambda: missing.put(oid_of(self.LARGE), [self.LARGE], None),
            lambda: list(missing.read(Blob(ABSENT, 1, 0), 0, 1)),
            lambda: missing.rehash(ABSENT),
            lambda: list(missing.walk()),
            lambda: missing.sweep(0),
        ]
        for call in calls:
            with pytest.raises(errors.StoreUnavailable) as caught:
                call()
            assert 'missing' not in caught.value.message
            assert '/missing' in (caught.value.detail or '')

    def check_empty(self, store: Store) -> None:
        super().check_empty(store)
        with urllib.request.urlopen(f'{self.http}?uploads') as answer:
            assert self.prefix not in answer.read().decode()


class TestS3Signed(TestS3Proxied):
    """An S3 bucket that clients reach by signed links."""

    SIGNED = True

    def send(self, store: SignedObjectStore, data: bytes, oid: str) -> None:
        link = store.link('PUT', oid, 60)
        request = urllib.request.Request(
            link.href, data, {'Content-Type': 'x'}, method='PUT'
        )
        urllib.request.urlopen(request).close()

    def fetch(self, store: SignedObjectStore, oid: str) -> bytes:
        link = store.link('GET', oid, 60)
        with urllib.request.urlopen(link.href) as answer:
            content: bytes = answer.read()
            return content

    @pytest.mark.parametrize(
        'data',
        [b'', BlobStoreConformance.SMALL, BlobStoreConformance.LARGE],
        ids=len,
    )
    def test_uploaded_by_link(
        self, store: SignedObjectStore, data: bytes
    ) -> None:
        oid = oid_of(data)
        with pytest.raises(urllib.error.HTTPError):
            self.fetch(store, oid)
        self.send(store, data, oid)
        store.settle(oid)
        assert self.fetch(store, oid) == data
        assert store.sweep(time.time() + 3600) == 0
        # The link is still valid, but cannot replace the blob.
        self.send(store, b'replaced', oid)
        store.settle(oid)
        assert self.fetch(store, oid) == data

    def test_settled_by_examine(self, store: SignedObjectStore) -> None:
        """An unverified upload becomes a blob when it is looked up."""
        self.send(store, self.SMALL, oid_of(self.SMALL))
        assert store.examine([oid_of(self.SMALL)])
        self.check_only(store, {oid_of(self.SMALL)})

    def check_only(self, store: SignedObjectStore, oids: set[str]) -> None:
        assert {blob.oid for blob in store.walk()} == oids
        assert store.sweep(time.time() + 3600) == 0

    def test_wrong_content_by_link(self, store: SignedObjectStore) -> None:
        self.send(store, self.SMALL, ABSENT)
        with pytest.raises(errors.Invalid):
            store.settle(ABSENT)
        self.check_empty(store)
        self.send(store, self.SMALL, ABSENT)
        assert store.examine([ABSENT]) == {}
        self.check_empty(store)

    def test_larger_than_allowed(self, store: SignedObjectStore) -> None:
        """A link does not limit what is sent; settling does."""
        limited = byurl.open_store(
            self.url,
            self.options,
            signed=True,
            limits=signedstore.UploadLimits(size=len(self.SMALL) - 1),
        )
        assert isinstance(limited, SignedObjectStore)
        oid = oid_of(self.SMALL)
        self.send(limited, self.SMALL, oid)
        with pytest.raises(errors.TooLarge):
            limited.settle(oid)
        self.check_empty(store)
        self.send(limited, self.SMALL, oid)
        assert limited.examine([oid]) == {}
        self.check_empty(store)

    def test_large_uploads_pass_through_the_server(
        self, store: SignedObjectStore
    ) -> None:
        """Links are for what the store takes in one request."""
        assert store.max_upload == 5 * 1024**3
        limited = byurl.open_store(
            self.url,
            self.options,
            signed=True,
            limits=signedstore.UploadLimits(signed=1000),
        )
        assert isinstance(limited, SignedObjectStore)
        endpoint = Endpoint(
            store=limited,
            links=limited,
            locks=None,
            limits=Limits(),
            url='https://hg.example/repo',
            admit=lambda: TransferGate().enter(0),
            log=lambda line: None,
            now=time.time,
        )
        objects = [
            {'oid': ABSENT, 'size': size} for size in (1000, 1001, 2**40)
        ]
        answer = batch.respond(
            endpoint, request_of({'operation': 'upload', 'objects': objects})
        )
        assert isinstance(answer.body, bytes)
        starts = [
            item['actions']['upload']['href'].startswith(endpoint.url)
            for item in json.loads(answer.body)['objects']
        ]
        assert starts == [False, True, True]

    def test_settled_twice_at_the_same_time(
        self, store: SignedObjectStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another server may settle an upload while this one verifies it."""
        other = SignedObjectStore(store._client, store._signer)
        oid = oid_of(self.SMALL)
        hash_of = store._hash

        def hash_meanwhile(key: str, size: int) -> str:
            found = hash_of(key, size)
            other.settle(oid)
            return found

        monkeypatch.setattr(store, '_hash', hash_meanwhile)
        self.send(store, self.SMALL, oid)
        assert store.examine([oid])
        assert self.fetch(store, oid) == self.SMALL
        self.check_only(store, {oid})

    def test_settled_by_another_before_it_is_copied(
        self, store: SignedObjectStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = SignedObjectStore(store._client, store._signer)
        oid = oid_of(self.SMALL)
        accept = store._accept

        def accept_late(*args: Any) -> None:
            other.settle(oid)
            accept(*args)

        monkeypatch.setattr(store, '_accept', accept_late)
        self.send(store, self.SMALL, oid)
        assert store.examine([oid])
        self.check_only(store, {oid})

    @pytest.mark.parametrize('first', [BlobStoreConformance.SMALL, b'wrong'])
    def test_replaced_while_it_is_verified(
        self,
        store: SignedObjectStore,
        monkeypatch: pytest.MonkeyPatch,
        first: bytes,
    ) -> None:
        """What arrives later is neither stored unverified nor thrown away."""
        oid = oid_of(self.SMALL)
        second = b'wrong' if first == self.SMALL else self.SMALL
        hash_of = store._hash

        def hash_meanwhile(key: str, size: int) -> str:
            found = hash_of(key, size)
            self.send(store, second, oid)
            monkeypatch.undo()
            return found

        monkeypatch.setattr(store, '_hash', hash_meanwhile)
        self.send(store, first, oid)
        if first == self.SMALL:
            store.settle(oid)
        else:
            with pytest.raises(errors.Invalid):
                store.settle(oid)
        assert store.examine([oid])
        assert self.fetch(store, oid) == self.SMALL

    def test_nothing_to_settle(self, store: SignedObjectStore) -> None:
        store.settle(ABSENT)
        self.check_empty(store)

    def test_sweep(self, store: SignedObjectStore) -> None:
        self.send(store, self.SMALL, ABSENT)
        assert store.sweep(time.time() - 3600) == 0
        assert store.sweep(time.time() + 3600) == 1

    def test_public_endpoint(self, store: SignedObjectStore) -> None:
        options = {**self.options, 'public-endpoint': 'https://files.example'}
        public = byurl.open_store(self.url, options, signed=True)
        assert isinstance(public, SignedObjectStore)
        link = public.link('GET', ABSENT, 60)
        assert link.href.startswith('https://files.example/')

    def test_too_large_to_copy(
        self, store: SignedObjectStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(signedstore, 'MAX_COPY', 1000)
        self.test_uploaded_by_link(store, self.LARGE)


@pytest.mark.parametrize(
    'url, options',
    [
        ('s3://bucket', {'endpoint': 'http://127.0.0.1:9'}),
        ('s3://bucket', {'no-such-option': '1'}),
        ('gopher://bucket', {}),
        ('nonsense', {}),
    ],
)
def test_unreachable(
    url: str, options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ('ACCESS_KEY_ID', 'SECRET_ACCESS_KEY', 'REGION'):
        monkeypatch.setenv(f'AWS_{name}', 'x')
    monkeypatch.setattr(objectclient, 'RETRIES', 0)
    with pytest.raises(errors.StoreUnavailable) as caught:
        store = byurl.open_store(url, options, signed=True)
        store.examine([ABSENT])
    assert '127' not in caught.value.message
    assert '\n' not in caught.value.full_text
    assert caught.value.detail
