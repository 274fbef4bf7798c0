# SPDX-License-Identifier: GPL-2.0-or-later
"""One class of conformance tests, run against every cacher."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from conftest import PATIENCE, ROOT, S3Server
from mercurial import util

from hgext3rd.wireprotov2.cache import base, directory, entry, memory, redis
from hgext3rd.wireprotov2.cache.directory import DirectoryCacher
from hgext3rd.wireprotov2.cache.memory import ENTRY_OVERHEAD, MemoryCacher
from hgext3rd.wireprotov2.options import OPTIONS

KEY = b'0123456789' * 4
OTHER = b'abcdef0123' * 4

EXAMPLE = ROOT / 'docs' / 'examples' / 'simplecache.py'


class Conformance:
    """The tests of every cacher; subclasses have a fixture ``cacher``."""

    #: Whether the cacher can remove what it holds.
    removes = True

    def test_absent_key_is_none(self, cacher: base.Cacher) -> None:
        assert cacher.get(OTHER) is None

    def test_returns_what_was_put(self, cacher: base.Cacher) -> None:
        data = entry.encode(KEY, bytes(range(256)) * 5000)
        cacher.put(KEY, data)
        assert cacher.get(KEY) == data
        assert cacher.get(OTHER) is None

    def test_head(self, cacher: base.Cacher) -> None:
        assert cacher.head(OTHER, entry.HEADER_SIZE) is None
        data = entry.encode(KEY, b'body' * 1000, quality=19)
        cacher.put(KEY, data)
        head = cacher.head(KEY, entry.HEADER_SIZE)
        assert head == data[: entry.HEADER_SIZE]

    def test_empty_body(self, cacher: base.Cacher) -> None:
        data = entry.encode(KEY, b'')
        cacher.put(KEY, data)
        assert cacher.get(KEY) == data

    def test_later_put_replaces(self, cacher: base.Cacher) -> None:
        cacher.put(KEY, entry.encode(KEY, b'first'))
        cacher.put(KEY, entry.encode(KEY, b'second', quality=19))
        found = cacher.get(KEY)
        assert found is not None
        assert bytes(entry.decode(KEY, found).body) == b'second'

    def test_what_is_removed_is_absent(self, cacher: base.Cacher) -> None:
        cacher.put(KEY, entry.encode(KEY, b'body'))
        cacher.put(OTHER, entry.encode(OTHER, b'other'))
        cacher.remove(KEY)
        if self.removes:
            assert cacher.get(KEY) is None
        assert cacher.get(OTHER) is not None
        # Once more, there is nothing to remove.
        cacher.remove(KEY)

    def test_concurrent_use(self, cacher: base.Cacher) -> None:
        failures: list[object] = []

        def work(number: int) -> None:
            key = b'%040x' % (number % 4)
            data = entry.encode(key, key * 1000)
            try:
                for _attempt in range(5):
                    cacher.put(key, data)
                    if cacher.get(key) not in (data, None):
                        failures.append(key)
            except Exception as e:
                failures.append(e)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []

    def test_usage(self, cacher: base.Cacher) -> None:
        before = cacher.usage()
        cacher.put(KEY, entry.encode(KEY, b'body' * 1000))
        after = cacher.usage()
        if before is None or after is None:
            assert before is after
            return
        assert after.entries >= before.entries
        assert after.limit is None or after.size <= after.limit

    def test_lease_ends(self, cacher: base.Cacher) -> None:
        with cacher.lease(KEY), cacher.lease(OTHER):
            pass
        with cacher.lease(KEY):
            pass

    def test_location_is_below_a_target(self, cacher: base.Cacher) -> None:
        assert cacher.locate(OTHER) is None
        body = b'a body of some length'
        cacher.put(KEY, entry.encode(KEY, body))
        location = cacher.locate(KEY)
        assert (location is None) == (not cacher.targets())
        if location is None:
            return
        prefixes = [uri for t in cacher.targets() for uri in t.uris]
        assert any(location.url.startswith(prefix) for prefix in prefixes)
        assert location.size == len(body)
        with urllib.request.urlopen(location.url.decode('ascii')) as response:
            assert response.read() == body

    def test_close(self, cacher: base.Cacher) -> None:
        cacher.close()


class TestMemory(Conformance):
    @pytest.fixture
    def cacher(self) -> base.Cacher:
        return MemoryCacher(64 * 1024 * 1024)

    def test_usage_is_exact(self) -> None:
        cacher = MemoryCacher(10_000)
        cacher.put(KEY, b'x' * 100)
        expected = base.Usage(1, 100 + ENTRY_OVERHEAD, 10_000)
        assert cacher.usage() == expected

    def test_least_recently_used_goes_first(self) -> None:
        cacher = MemoryCacher(3 * (100 + ENTRY_OVERHEAD))
        keys = [b'%040x' % n for n in range(4)]
        for key in keys[:3]:
            cacher.put(key, b'x' * 100)
        cacher.get(keys[0])
        cacher.put(keys[3], b'x' * 100)
        kept = [key for key in keys if cacher.get(key) is not None]
        assert kept == [keys[0], keys[2], keys[3]]

    def test_never_holds_more_than_its_size(self) -> None:
        cacher = MemoryCacher(10_000)
        for number in range(200):
            cacher.put(b'%040x' % (number % 50), b'x' * (number * 7))
            assert cacher.used <= 10_000

    def test_data_larger_than_the_cache_is_declined(self) -> None:
        cacher = MemoryCacher(1000)
        cacher.put(KEY, b'small')
        cacher.put(KEY, b'x' * 2000)
        assert cacher.get(KEY) is None
        assert cacher.used == 0


class TestExample(Conformance):
    """The cacher of the sample extension in the documentation."""

    removes = False

    @pytest.fixture
    def cacher(self) -> base.Cacher:
        factory = base.registered(b'simple') or self.load()
        assert base.registered(b'simple') is factory
        return factory(
            base.Settings(
                lambda name, default: default,
                lambda name, default: default,
                lambda name, default: default,
                b'/nowhere',
            )
        )

    def load(self) -> base.CacherFactory:
        spec = importlib.util.spec_from_file_location('simplecache', EXAMPLE)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        factory: base.CacherFactory = module.from_settings
        return factory

    def test_it_needs_one_module_of_this_project(self) -> None:
        imports = [
            line
            for line in EXAMPLE.read_text().splitlines()
            if 'hgext3rd' in line
        ]
        assert imports == ['from hgext3rd.wireprotov2.cache import base']


@pytest.mark.parametrize('name', [b'none', *base.BUILT_IN, b'simple'])
def test_names_are_registered_once(name: bytes) -> None:
    def make(settings: base.Settings) -> base.Cacher:
        return MemoryCacher()

    if name == b'simple' and base.registered(name) is None:
        base.register(name, make)
    with pytest.raises(base.CacherConfigError, match=name.decode()):
        base.register(name, make)


class TestDirectory(Conformance):
    @pytest.fixture
    def cacher(self, tmp_path: pathlib.Path) -> base.Cacher:
        return DirectoryCacher(os.fsencode(tmp_path / 'cache'))

    def test_usage_is_measured_now_and_then(
        self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cacher = DirectoryCacher(os.fsencode(tmp_path), 10_000)
        assert cacher.usage() == base.Usage(0, 0, 10_000)
        cacher.put(KEY, b'x' * 100)
        assert cacher.usage() == base.Usage(0, 0, 10_000)
        monkeypatch.setattr(directory, 'USAGE_LIFETIME', 0)
        cacher = DirectoryCacher(os.fsencode(tmp_path), 10_000)
        assert cacher.usage() == base.Usage(1, 100, 10_000)
        cacher.put(OTHER, b'x' * 50)
        assert cacher.usage() == base.Usage(2, 150, 10_000)

    def test_survives_restarts(self, tmp_path: pathlib.Path) -> None:
        DirectoryCacher(os.fsencode(tmp_path)).put(KEY, b'data')
        assert DirectoryCacher(os.fsencode(tmp_path)).get(KEY) == b'data'

    def test_oldest_are_evicted(self, tmp_path: pathlib.Path) -> None:
        filling = DirectoryCacher(os.fsencode(tmp_path))
        for number in range(12):
            key = b'%040x' % number
            filling.put(key, b'x' * 1000)
            path = tmp_path / 'entries' / key[:2].decode() / key[2:].decode()
            os.utime(path, (number, number))
        # Entry 1 was old, but used.
        filling.get(b'%040x' % 1)
        cacher = DirectoryCacher(os.fsencode(tmp_path), 10_000)
        cacher.evict()
        kept = [n for n in range(12) if cacher.get(b'%040x' % n)]
        assert kept == [1, *range(4, 12)]

    def test_eviction_happens_by_itself(self, tmp_path: pathlib.Path) -> None:
        cacher = DirectoryCacher(os.fsencode(tmp_path), 10_000)
        for number in range(100):
            cacher.put(b'%040x' % number, b'x' * 1000)
        total = sum(
            p.stat().st_size
            for p in (tmp_path / 'entries').rglob('*')
            if p.is_file()
        )
        assert total <= 10_000 * (1 + 1 / 8)

    def test_files_of_dead_processes_are_removed(
        self, tmp_path: pathlib.Path
    ) -> None:
        cacher = DirectoryCacher(os.fsencode(tmp_path))
        cacher.put(KEY, b'data')
        dead = tmp_path / 'tmp' / 'dead'
        dead.write_bytes(b'half')
        os.utime(dead, (1, 1))
        fresh = tmp_path / 'tmp' / 'fresh'
        fresh.write_bytes(b'half')
        cacher.evict()
        assert not dead.exists()
        assert fresh.exists()
        assert cacher.get(KEY) == b'data'

    @pytest.mark.skipif(os.geteuid() == 0, reason='root may write anywhere')
    def test_read_only_directory(self, tmp_path: pathlib.Path) -> None:
        tmp_path.chmod(0o500)
        cacher = DirectoryCacher(os.fsencode(tmp_path))
        with pytest.raises(base.CacherError):
            cacher.put(KEY, b'data')
        assert cacher.get(KEY) is None

    def test_file_in_place_of_directory(self, tmp_path: pathlib.Path) -> None:
        (tmp_path / 'file').write_bytes(b'')
        cacher = DirectoryCacher(os.fsencode(tmp_path / 'file'))
        with pytest.raises(base.CacherError):
            cacher.put(KEY, b'data')
        with pytest.raises(base.CacherError):
            cacher.get(KEY)
        with cacher.lease(KEY):
            pass

    def test_lease_excludes(self, tmp_path: pathlib.Path) -> None:
        inside = 0
        most = 0
        guard = threading.Lock()

        def work() -> None:
            nonlocal inside, most
            cacher = DirectoryCacher(os.fsencode(tmp_path))
            with cacher.lease(KEY):
                with guard:
                    inside += 1
                    most = max(most, inside)
                threading.Event().wait(0.02)
                with guard:
                    inside -= 1

        threads = [threading.Thread(target=work) for _n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert most == 1

    def test_several_processes(self, tmp_path: pathlib.Path) -> None:
        script = tmp_path / 'worker.py'
        script.write_text(WORKER)
        root = str(pathlib.Path(__file__).resolve().parent.parent)
        workers = [
            subprocess.Popen(
                [sys.executable, str(script), str(tmp_path / 'cache')],
                env=dict(os.environ, PYTHONPATH=root),
            )
            for _n in range(3)
        ]
        assert [worker.wait(PATIENCE) for worker in workers] == [0, 0, 0]


#: Fills a cache that has room for a quarter of it, reading in between.
WORKER = """
import os, random, sys
from hgext3rd.wireprotov2.cache import entry
from hgext3rd.wireprotov2.cache.directory import DirectoryCacher

cacher = DirectoryCacher(os.fsencode(sys.argv[1]), 20_000)
for number in range(300):
    key = b'%040x' % random.randrange(40)
    with cacher.lease(key):
        data = cacher.get(key)
        if data is None:
            cacher.put(key, entry.encode(key, key * 50))
        else:
            assert bytes(entry.decode(key, data).body) == key * 50
"""


@pytest.mark.needs('redis')
class TestRedis(Conformance):
    @pytest.fixture
    def cacher(self, redis_url: str) -> Iterator[base.Cacher]:
        from hgext3rd.wireprotov2.cache.redis import RedisCacher

        made = RedisCacher(redis_url)
        made._client.flushdb()
        yield made
        made.close()

    @pytest.mark.parametrize('ttl, kept', [(100, True), (0, False)])
    def test_expiry(self, redis_url: str, ttl: int, kept: bool) -> None:
        from hgext3rd.wireprotov2.cache import redis

        cacher = redis.RedisCacher(redis_url, ttl)
        cacher.put(KEY, b'data')
        left = cacher._client.ttl(redis.PREFIX + KEY)
        assert (90 < left <= 100) if kept else left == -1

    def test_unreachable(self, free: Callable[[], int]) -> None:
        from hgext3rd.wireprotov2.cache.redis import RedisCacher

        cacher = RedisCacher(f'redis://127.0.0.1:{free()}/0')
        with pytest.raises(base.CacherError, match='^redis: '):
            cacher.get(KEY)
        with pytest.raises(base.CacherError):
            cacher.put(KEY, b'data')
        with cacher.lease(KEY):
            pass

    def test_bad_url(self) -> None:
        from hgext3rd.wireprotov2.cache.redis import RedisCacher

        with pytest.raises(base.CacherConfigError, match='bad redis URL'):
            RedisCacher('http://example.com')


@pytest.fixture
def free() -> Callable[[], int]:
    from conftest import free_port

    return free_port


@pytest.mark.needs('obstore')
class TestObjectStoreMemory(Conformance):
    @pytest.fixture
    def cacher(self) -> base.Cacher:
        from hgext3rd.wireprotov2.cache.objectstore import ObjectStoreCacher

        return ObjectStoreCacher('memory:///')

    @pytest.mark.parametrize(
        'url, redirect, public, message',
        [
            ('bogus://x', False, None, 'object store: '),
            ('memory:///', True, None, 'cannot sign URLs'),
            ('memory:///', True, 'ftp://x/', 'http or https'),
        ],
    )
    def test_bad_configuration(
        self, url: str, redirect: bool, public: str | None, message: str
    ) -> None:
        from hgext3rd.wireprotov2.cache.objectstore import ObjectStoreCacher

        with pytest.raises(base.CacherConfigError, match=message):
            ObjectStoreCacher(url, redirect, public)


@pytest.mark.needs('obstore')
class TestObjectStoreLocal(Conformance):
    @pytest.fixture
    def cacher(self, tmp_path: pathlib.Path) -> base.Cacher:
        from hgext3rd.wireprotov2.cache.objectstore import ObjectStoreCacher

        return ObjectStoreCacher((tmp_path / 'new').as_uri())


@pytest.mark.needs('obstore')
class TestObjectStorePublic(Conformance):
    """Bodies in a local directory that a web server publishes."""

    @pytest.fixture
    def cacher(self, tmp_path: pathlib.Path) -> Iterator[base.Cacher]:
        import functools
        import http.server

        from hgext3rd.wireprotov2.cache.objectstore import ObjectStoreCacher

        class Quiet(http.server.SimpleHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                pass

        handler = functools.partial(Quiet, directory=str(tmp_path))
        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield ObjectStoreCacher(
                tmp_path.as_uri(),
                True,
                f'http://127.0.0.1:{server.server_port}/',
            )
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def test_torn_header_is_no_location(
        self, cacher: base.Cacher, tmp_path: pathlib.Path
    ) -> None:
        cacher.put(KEY, entry.encode(KEY, b'body'))
        header = tmp_path / 'headers' / KEY.decode()
        header.write_bytes(header.read_bytes()[:10])
        assert cacher.locate(KEY) is None


@pytest.mark.needs('s3')
class TestS3(Conformance):
    @pytest.fixture
    def cacher(
        self, s3: S3Server, request: pytest.FixtureRequest
    ) -> base.Cacher:
        from hgext3rd.wireprotov2.cache.objectstore import ObjectStoreCacher

        return ObjectStoreCacher(f's3://{s3.bucket}/{request.node.name}')

    def test_unreachable(
        self, s3: S3Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from hgext3rd.wireprotov2.cache.objectstore import ObjectStoreCacher

        monkeypatch.setenv('AWS_ENDPOINT_URL', 'http://127.0.0.1:1/')
        monkeypatch.setenv('AWS_ENDPOINT', 'http://127.0.0.1:1/')
        cacher = ObjectStoreCacher(f's3://{s3.bucket}/x')
        with pytest.raises(base.CacherError, match='^object store: '):
            cacher.get(KEY)


@pytest.mark.needs('s3')
class TestS3Signed(Conformance):
    @pytest.fixture
    def cacher(
        self, s3: S3Server, request: pytest.FixtureRequest
    ) -> base.Cacher:
        from hgext3rd.wireprotov2.cache.objectstore import ObjectStoreCacher

        return ObjectStoreCacher(
            f's3://{s3.bucket}/signed/{request.node.name}', redirect=True
        )


def test_built_in_cachers_have_the_defaults_of_the_options() -> None:
    defaults = {option.name: option.default for option in OPTIONS}
    sizes = {
        'cacher.memory.size': memory.DEFAULT_SIZE,
        'cacher.directory.size': directory.DEFAULT_SIZE,
    }
    for name, size in sizes.items():
        assert util.sizetoint(defaults[name]) == size
    assert defaults['cacher.redis.ttl'] == redis.DEFAULT_TTL
