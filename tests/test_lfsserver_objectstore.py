# SPDX-License-Identifier: GPL-2.0-or-later
"""Object stores pass what all blob stores pass, and sign links."""

from __future__ import annotations

import pathlib
import time
import urllib.error
import urllib.request
from typing import Any

import pytest
from conftest import S3Server
from test_lfsserver_blobs import ABSENT, BlobStoreConformance, oid_of

from hgext3rd.lfsserver import errors
from hgext3rd.lfsserver.stores.blobs import BlobStore

objectstore = pytest.importorskip('hgext3rd.lfsserver.stores.objectstore')


class TestFolder(BlobStoreConformance):
    """An object store on a local disk."""

    @pytest.fixture
    def store(self, tmp_path: pathlib.Path) -> BlobStore:
        self.root = tmp_path / 'objects of all'
        url = 'file://' + str(self.root).replace(' ', '%20')
        store: BlobStore = objectstore.open_store(url, {}, signed=True)
        assert store.link('GET', ABSENT, 60) is None
        return store

    def damage(self, oid: str) -> None:
        (self.root / 'objects' / oid[:2] / oid[2:]).write_bytes(b'damage')


@pytest.mark.needs('s3')
class TestS3Proxied(BlobStoreConformance):
    SIGNED = False

    @pytest.fixture
    def store(self, s3: S3Server, request: Any) -> BlobStore:
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
        store: BlobStore = objectstore.open_store(
            self.url, options, signed=self.SIGNED
        )
        return store

    def overwrite(self, key: str, data: bytes) -> None:
        import obstore

        store = obstore.store.from_url(
            self.url, config=self.options, client_options={'allow_http': True}
        )
        obstore.put(store, key, data)

    def damage(self, oid: str) -> None:
        self.overwrite(f'objects/{oid[:2]}/{oid[2:]}', b'damage')

    def check_empty(self, store: BlobStore) -> None:
        super().check_empty(store)
        with urllib.request.urlopen(f'{self.http}?uploads') as answer:
            assert self.prefix not in answer.read().decode()

    def test_no_links(self, store: BlobStore) -> None:
        if not self.SIGNED:
            assert store.link('GET', ABSENT, 60) is None


class TestS3Signed(TestS3Proxied):
    SIGNED = True

    def send(self, store: BlobStore, data: bytes, oid: str) -> None:
        link = store.link('PUT', oid, 60)
        assert link is not None
        request = urllib.request.Request(
            link.href, data, {'Content-Type': 'x'}, method='PUT'
        )
        urllib.request.urlopen(request).close()

    def fetch(self, store: BlobStore, oid: str) -> bytes:
        link = store.link('GET', oid, 60)
        assert link is not None
        with urllib.request.urlopen(link.href) as answer:
            content: bytes = answer.read()
            return content

    @pytest.mark.parametrize(
        'data',
        [b'', BlobStoreConformance.SMALL, BlobStoreConformance.LARGE],
        ids=len,
    )
    def test_uploaded_by_link(self, store: BlobStore, data: bytes) -> None:
        oid = oid_of(data)
        with pytest.raises(urllib.error.HTTPError):
            self.fetch(store, oid)
        self.send(store, data, oid)
        store.settle(oid)
        assert self.fetch(store, oid) == data
        assert store.sweep(time.time() + 3600) == 0
        # the link is still good, but spoils nothing
        self.send(store, b'spoiled', oid)
        store.settle(oid)
        assert self.fetch(store, oid) == data

    def test_unsettled(self, store: BlobStore) -> None:
        """Clients that never verify are found out at the next look."""
        self.send(store, self.SMALL, oid_of(self.SMALL))
        assert store.examine([oid_of(self.SMALL)])
        self.check_empty_but(store, {oid_of(self.SMALL)})

    def check_empty_but(self, store: BlobStore, oids: set[str]) -> None:
        assert {blob.oid for blob in store.walk()} == oids
        assert store.sweep(time.time() + 3600) == 0

    def test_wrong_content_by_link(self, store: BlobStore) -> None:
        self.send(store, self.SMALL, ABSENT)
        with pytest.raises(errors.Invalid):
            store.settle(ABSENT)
        self.check_empty(store)
        self.send(store, self.SMALL, ABSENT)
        assert store.examine([ABSENT]) == {}
        self.check_empty(store)

    def test_sweep(self, store: BlobStore) -> None:
        self.send(store, self.SMALL, ABSENT)
        assert store.sweep(time.time() - 3600) == 0
        assert store.sweep(time.time() + 3600) == 1

    def test_public_endpoint(self, store: BlobStore) -> None:
        options = {**self.options, 'public-endpoint': 'https://files.example'}
        public = objectstore.open_store(self.url, options, signed=True)
        link = public.link('GET', ABSENT, 60)
        assert link.href.startswith('https://files.example/')

    def test_too_large_to_copy(
        self, store: BlobStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(objectstore, 'MAX_COPY', 1000)
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
    monkeypatch.setattr(objectstore, 'RETRIES', 0)
    with pytest.raises(errors.StoreUnavailable) as caught:
        store = objectstore.open_store(url, options, signed=True)
        store.examine([ABSENT])
    assert '127' not in caught.value.message
    assert '\n' not in caught.value.full_text
    assert caught.value.detail
