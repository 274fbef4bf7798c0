# SPDX-License-Identifier: GPL-2.0-or-later
"""The stores of blobs: every store passes the same conformance class."""

from __future__ import annotations

import contextlib
import os
import pathlib
import tempfile
import time
from collections.abc import Iterator
from typing import Any, Protocol

import pytest
from helpers.lfsserver_http import oid_of

from hgext3rd.lfsserver import errors
from hgext3rd.lfsserver.stores import content, local
from hgext3rd.lfsserver.stores.blobs import BlobMaintenance, BlobStore
from hgext3rd.lfsserver.stores.content import Block
from hgext3rd.lfsserver.stores.files import FileCreator
from hgext3rd.lfsserver.stores.local import LocalStore
from hgext3rd.lfsserver.stores.usercache import UserCache
from hgext3rd.lfsserver.stores.verdicts import VerdictCache

ABSENT = '0' * 64


class Store(BlobStore, BlobMaintenance, Protocol):
    """The roles that every store has."""


def reused(data: bytes, size: int) -> Iterator[Block]:
    """Yield the content in blocks that share one buffer."""
    buffer = bytearray(size)
    for start in range(0, len(data), size):
        block = data[start : start + size]
        buffer[: len(block)] = block
        yield memoryview(buffer)[: len(block)]


def put(store: Store, data: bytes, size: int | None = -1) -> bool:
    if size == -1:
        size = len(data)
    return store.put(oid_of(data), reused(data, 100_000), size)


class Interrupted(Exception):
    """Raised by content that ends prematurely."""


def broken(data: bytes) -> Iterator[Block]:
    yield data
    raise Interrupted


@contextlib.contextmanager
def other_disk(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield an empty folder on another file system than ``folder``."""
    shared = pathlib.Path('/dev/shm')
    if not shared.is_dir() or shared.stat().st_dev == folder.stat().st_dev:
        pytest.skip('there is no second file system')
    with tempfile.TemporaryDirectory(dir=shared) as name:
        yield pathlib.Path(name)


class BlobStoreConformance:
    """The tests that every store passes.

    Subclasses provide ``store`` and ``damage``. Those of object stores are in
    test_lfsserver_objectstore.
    """

    #: Content that an object store receives in several parts, and in one.
    LARGE = os.urandom(1 << 20) * 20
    SMALL = os.urandom(5000)

    @pytest.fixture
    def store(self) -> Store:
        raise AssertionError('subclasses provide a store')

    def damage(self, oid: str) -> None:
        """Overwrite the stored content of a blob."""
        raise AssertionError('subclasses know how')

    def content(self, store: Store, oid: str) -> bytes:
        blob = store.examine([oid])[oid]
        return b''.join(store.read(blob, 0, blob.size))

    @pytest.mark.parametrize('data', [b'', SMALL, LARGE], ids=len)
    @pytest.mark.parametrize('announced', [True, False])
    def test_put(self, store: Store, data: bytes, announced: bool) -> None:
        oid = oid_of(data)
        assert put(store, data, len(data) if announced else None) is True
        blob = store.examine([oid, ABSENT])[oid]
        assert (blob.oid, blob.size, blob.intact) == (oid, len(data), True)
        assert abs(blob.modified - time.time()) < 3600
        assert self.content(store, oid) == data
        assert put(store, data) is False
        assert self.content(store, oid) == data
        assert store.rehash(oid)

    def test_ranges(self, store: Store) -> None:
        put(store, self.LARGE)
        blob = store.examine([oid_of(self.LARGE)])[oid_of(self.LARGE)]
        size = len(self.LARGE)
        for start, stop in [
            (0, 0),
            (0, 1),
            (size - 1, size),
            (5, 5_000_000),
            (4 << 20, 8 << 20),
            (size, size),
        ]:
            found = b''.join(store.read(blob, start, stop))
            assert found == self.LARGE[start:stop]

    def test_missing(self, store: Store) -> None:
        assert store.examine([ABSENT]) == {}
        assert store.examine([]) == {}
        assert list(store.walk()) == []
        store.delete(ABSENT)
        with pytest.raises(errors.NotFound):
            store.rehash(ABSENT)
        with pytest.raises(errors.NotFound):
            store.quarantine(ABSENT)

    def test_deleted_before_read(self, store: Store) -> None:
        put(store, self.SMALL)
        oid = oid_of(self.SMALL)
        blob = store.examine([oid])[oid]
        store.delete(oid)
        with pytest.raises(errors.NotFound):
            b''.join(store.read(blob, 0, blob.size))

    @pytest.mark.parametrize('data', [SMALL, LARGE], ids=len)
    def test_wrong_content(self, store: Store, data: bytes) -> None:
        for size in (len(data), None):
            with pytest.raises(errors.Invalid):
                store.put(ABSENT, reused(data, 100_000), size)
        with pytest.raises(errors.Invalid):
            put(store, data, len(data) + 1)
        with pytest.raises(errors.Invalid):
            put(store, data, len(data) - 1)
        with pytest.raises(Interrupted):
            store.put(oid_of(data), broken(data), None)
        self.check_empty(store)

    def check_empty(self, store: Store) -> None:
        assert list(store.walk()) == []
        assert store.sweep(time.time() + 3600) == 0

    def test_intact_blob_is_kept(self, store: Store) -> None:
        oid = oid_of(self.SMALL)
        put(store, self.SMALL)
        with pytest.raises(errors.Invalid):
            store.put(oid, [b'other'], 5)
        with pytest.raises(Interrupted):
            store.put(oid, broken(self.SMALL), None)
        assert self.content(store, oid) == self.SMALL

    def test_walk_and_delete(self, store: Store) -> None:
        contents = [b'%d' % number for number in range(20)]
        for data in contents:
            put(store, data)
        found = {blob.oid: blob.size for blob in store.walk()}
        assert found == {oid_of(data): len(data) for data in contents}
        assert set(store.examine([*found, ABSENT])) == set(found)
        for data in contents:
            store.delete(oid_of(data))
        self.check_empty(store)

    def test_quarantine(self, store: Store) -> None:
        oid = oid_of(self.SMALL)
        put(store, self.SMALL)
        self.damage(oid)
        assert store.rehash(oid) is False
        assert oid in store.quarantine(oid)
        assert store.examine([oid]) == {}
        self.check_empty(store)
        assert put(store, self.SMALL) is True
        assert self.content(store, oid) == self.SMALL


class TestLocal(BlobStoreConformance):
    @pytest.fixture
    def store(self, tmp_path: pathlib.Path) -> LocalStore:
        self.root = tmp_path / 'lfs'
        return LocalStore(
            str(self.root),
            VerdictCache(str(tmp_path / 'verified.sqlite')),
            FileCreator(file_mode=0o640),
        )

    def path(self, oid: str) -> pathlib.Path:
        return self.root / 'objects' / oid[:2] / oid[2:]

    def damage(self, oid: str) -> None:
        self.path(oid).write_bytes(b'damage')

    def test_layout(self, store: LocalStore) -> None:
        put(store, b'x')
        path = self.path(oid_of(b'x'))
        assert path.read_bytes() == b'x'
        assert path.stat().st_mode & 0o777 == 0o640
        paths = [p for p in self.root.rglob('*') if p.is_file()]
        assert paths == [path]
        # Other files are not blobs.
        (path.parent / 'README').write_text('x')
        (self.root / 'objects' / 'README').write_text('x')
        assert [blob.oid for blob in store.walk()] == [oid_of(b'x')]

    def test_hashed_once(
        self, store: LocalStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file is hashed again only after it has changed."""
        oid = oid_of(self.SMALL)
        self.path(oid).parent.mkdir(parents=True)
        self.path(oid).write_bytes(self.SMALL)
        hashed = []
        real = content.hash_file

        def counting(file: Any) -> str:
            hashed.append(file.name)
            return real(file)

        monkeypatch.setattr(local, 'hash_file', counting)
        for _ in range(3):
            assert store.examine([oid])[oid].intact
        assert len(hashed) == 1
        # Another process reads the verdict from the database.
        store._verdicts.flush()
        other = LocalStore(
            str(self.root),
            VerdictCache(str(self.root.parent / 'verified.sqlite')),
            FileCreator(),
        )
        assert other.examine([oid])[oid].intact
        assert len(hashed) == 1
        self.damage(oid)
        assert not store.examine([oid])[oid].intact
        # Each store remembers the old verdict, and finds that it is not valid.
        assert not other.examine([oid])[oid].intact
        assert len(hashed) == 3
        # An upload was hashed while it was received.
        put(store, b'new')
        before = len(hashed)
        assert store.examine([oid_of(b'new')])
        assert len(hashed) == before

    def test_corrupt_blob_is_replaced(self, store: LocalStore) -> None:
        oid = oid_of(self.SMALL)
        put(store, self.SMALL)
        self.damage(oid)
        with pytest.raises(Interrupted):
            store.put(oid, broken(self.SMALL), None)
        assert self.path(oid).read_bytes() == b'damage'
        assert put(store, self.SMALL) is False
        assert self.content(store, oid) == self.SMALL

    def test_no_space(
        self, store: LocalStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def never() -> Iterator[Block]:
            raise AssertionError('the content must not be read')
            yield b''

        with pytest.raises(errors.OutOfSpace):
            store.put(ABSENT, never(), 2**62)

        def full(fd: int, data: bytes) -> int:
            raise OSError(28, 'No space left on device')

        monkeypatch.setattr(os, 'write', full)
        with pytest.raises(errors.OutOfSpace):
            put(store, self.SMALL)
        monkeypatch.undo()
        self.check_empty(store)

    def test_unusable_directory(self, store: LocalStore) -> None:
        self.root.write_text('a file is in the way')
        with pytest.raises(errors.StoreUnavailable):
            put(store, self.SMALL)

    @pytest.mark.parametrize('linked', ['objects', 'shard'])
    def test_other_disk(self, store: LocalStore, linked: str) -> None:
        """Blobs are on another file system than the rest of the store."""
        oid = oid_of(self.LARGE)
        with other_disk(self.root.parent) as disk:
            place = self.path(oid).parent
            if linked == 'objects':
                place = place.parent
            place.parent.mkdir(parents=True)
            place.symlink_to(disk, target_is_directory=True)
            assert put(store, self.LARGE) is True
            assert self.content(store, oid) == self.LARGE
            assert [p.name for p in disk.rglob('*') if p.is_file()] == [oid[2:]]
            with pytest.raises(errors.Invalid):
                store.put(oid_of(b'y'), [b'x'], 1)
            self.path(oid).write_bytes(b'damage')
            moved = pathlib.Path(store.quarantine(oid))
            assert moved.read_bytes() == b'damage'
            assert not self.path(oid).exists()
            with pytest.raises(errors.NotFound):
                store.quarantine(oid)

    def test_unmounted_disk(self, store: LocalStore) -> None:
        """Blobs of a linked disk that is missing are not reported missing."""
        self.root.mkdir()
        (self.root / 'objects').symlink_to(self.root / 'nowhere')
        with pytest.raises(errors.StoreUnavailable) as caught:
            store.examine([ABSENT])
        assert str(self.root) not in caught.value.message
        with pytest.raises(errors.StoreUnavailable):
            put(store, self.SMALL)

    def test_free_space_where_blobs_are(
        self, store: LocalStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = []
        measure = os.statvfs

        def statvfs(path: str) -> os.statvfs_result:
            asked.append(path)
            return measure(path)

        monkeypatch.setattr(os, 'statvfs', statvfs)
        put(store, self.SMALL)
        assert asked == [str(self.path(oid_of(self.SMALL)).parent)]

    def test_sweep(self, store: LocalStore) -> None:
        put(store, self.SMALL)
        left = self.path(ABSENT).with_name('.upload-left')
        left.parent.mkdir()
        left.write_text('x')
        assert store.sweep(time.time() - 3600) == 0
        assert store.sweep(time.time() + 3600) == 1
        assert not left.exists()


class TestLocalWithCache(TestLocal):
    """A store with the cache of core's lfs extension."""

    @pytest.fixture
    def store(self, tmp_path: pathlib.Path) -> LocalStore:
        self.root = tmp_path / 'lfs'
        self.cache = tmp_path / 'cache'
        creator = FileCreator(file_mode=0o640, directory_mode=0o750)
        return LocalStore(
            str(self.root),
            VerdictCache(str(tmp_path / 'verified.sqlite')),
            creator,
            UserCache(str(self.cache), creator),
        )

    def check_empty(self, store: Store) -> None:
        super().check_empty(store)
        paths = [p for p in self.root.rglob('*') if p.is_file()]
        assert all('quarantine' in p.parts for p in paths)

    def test_deleted_from_cache(self, store: LocalStore) -> None:
        """A deleted blob is not linked back, and frees its space."""
        put(store, self.SMALL)
        oid = oid_of(self.SMALL)
        with self.path(oid).open() as file:
            store.delete(oid)
            assert os.fstat(file.fileno()).st_nlink == 0
        assert store.examine([oid]) == {}
        # Without an entry in the cache
        put(store, self.SMALL)
        (self.cache / oid[:2] / oid[2:]).unlink()
        store.delete(oid)
        self.check_empty(store)

    def test_quarantined_in_cache(self, store: LocalStore) -> None:
        """The cache loses a corrupt blob, but keeps a good copy of it."""
        put(store, self.SMALL)
        oid = oid_of(self.SMALL)
        entry = self.cache / oid[:2] / oid[2:]
        self.damage(oid)
        store.quarantine(oid)
        assert not entry.exists()
        put(store, self.SMALL)
        entry.unlink()
        entry.write_bytes(self.SMALL)
        self.damage(oid)
        store.quarantine(oid)
        assert self.content(store, oid) == self.SMALL

    def test_taken_from_cache(self, store: LocalStore) -> None:
        data = b'cached by a commit elsewhere'
        oid = oid_of(data)
        place = self.cache / oid[:2] / oid[2:]
        place.parent.mkdir(parents=True)
        place.write_bytes(b'damage')
        assert store.examine([oid]) == {}
        place.write_bytes(data)
        assert self.content(store, oid) == data
        assert self.path(oid).stat().st_ino == place.stat().st_ino

    def test_offered_to_cache(self, store: LocalStore) -> None:
        put(store, b'x')
        oid = oid_of(b'x')
        assert (self.cache / oid[:2] / oid[2:]).read_bytes() == b'x'
        assert (self.root / 'objects').stat().st_mode & 0o777 == 0o750

    def test_repaired_in_cache(self, store: LocalStore) -> None:
        put(store, b'x')
        self.damage(oid_of(b'x'))
        self.test_offered_to_cache(store)

    def test_unusable_cache(self, store: LocalStore) -> None:
        self.cache.write_text('a file is in the way')
        assert put(store, b'x') is True

    def test_other_file_system(
        self, store: LocalStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def impossible(source: str, target: str) -> None:
            raise OSError(18, 'Invalid cross-device link')

        monkeypatch.setattr(os, 'link', impossible)
        self.test_offered_to_cache(store)
        self.path(oid_of(b'x')).unlink()
        assert self.content(store, oid_of(b'x')) == b'x'
