# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers load all modules before the threads of their requests start.

Mercurial imports lazily. If two threads are the first to use a lazy module, one
of them sees a module without attributes, and its request fails.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator

import pytest
from conftest import accepts, free_port, wait_for

from hgext3rd.lfsserver import hooks as lfsserver
from hgext3rd.sqlitestore import hooks as sqlitestore
from hgext3rd.wireprotov2.server import hgserve as wireprotov2

PROBE = pathlib.Path(__file__).parent / 'helpers' / 'loading_probe.py'
HG = pathlib.Path(sys.executable).with_name('hg')

# Prefixes of modules that requests must not be the first to import. "hg serve"
# itself imports encodings and the like when they are needed, which is safe.
WATCHED = ('hgext3rd', 'mercurial', 'hgext', 'sqlite3', '_sqlite3')

SETS = {
    'sqlitestore': ('sqlitestore',),
    'wireprotov2': ('wireprotov2',),
    'lfsserver': ('lfsserver',),
    'sqlitestore-wireprotov2': ('sqlitestore', 'wireprotov2'),
    'all': ('sqlitestore', 'wireprotov2', 'lfsserver'),
}

# A module of each extension that only requests need.
OF_REQUESTS = (
    'hgext3rd.lfsserver.stores.local',
    'hgext3rd.sqlitestore.writing.ingest',
    'hgext3rd.wireprotov2.cache.memory',
)

NULL = '0' * 40
PAGES = (
    'shortlog',
    'log',
    'log/tip/f0',
    'rev/tip',
    'raw-rev/tip',
    'file/tip',
    'file/tip/f0',
    'raw-file/tip/f0',
    'annotate/tip/f0',
    'filediff/tip/f0',
    'comparison/tip/f0',
    'graph',
    'help',
    'archive/tip.tar.gz',
    'archive/tip.zip',
    'rss-log',
    'log?rev=second',
)


class Running:
    """A server in a process of its own; ``url`` is that of its repository."""

    def __init__(
        self, folder: pathlib.Path, kind: str, names: tuple[str, ...]
    ) -> None:
        self.folder = folder
        self.repo = folder / 'repo'
        self.hgrc = folder / 'hgrc'
        enabled = ''.join(f'{name} =\n' for name in names)
        self.hgrc.write_text(
            f'[extensions]\n{enabled}'
            '[ui]\nusername = test\n'
            '[storage]\nnew-repo-backend = '
            + ('sqlite' if 'sqlitestore' in names else 'revlogv1')
            + '\n[web]\nallow-push = *\npush_ssl = no\n'
            'allow-archive = gz zip\n[lfsserver]\nallow-anonymous = yes\n'
        )
        self.result = folder / 'loaded.json'
        self.env = dict(
            os.environ,
            HGRCPATH=str(self.hgrc),
            LOADING_PROBE=str(self.result),
        )
        self.hg('init', str(self.repo))
        for text in ('first', 'second'):
            for i in range(3):
                (self.repo / f'f{i}').write_text(f'{text} {i}\n')
            self.hg('-R', str(self.repo), 'commit', '-qAm', text)
        port = free_port()
        self.url = f'http://127.0.0.1:{port}/'
        if kind == 'serve':
            command = [str(HG), '-R', str(self.repo), 'serve', '-p', str(port)]
            command += [
                '-a',
                '127.0.0.1',
                '--config',
                f'extensions.probe={PROBE}',
            ]
        elif kind == 'wsgi':
            command = [sys.executable, str(PROBE), str(port), str(self.repo)]
        else:
            config = folder / 'hgweb.config'
            config.write_text(f'[paths]\n/repo = {self.repo}\n')
            command = [sys.executable, str(PROBE), str(port), str(config)]
            self.url += 'repo/'
        with (folder / 'output').open('wb') as output:
            self.process = subprocess.Popen(
                command, env=self.env, stdout=output, stderr=output
            )
        wait_for(lambda: accepts(port), kind)

    def hg(self, *args: str) -> str:
        """Run hg, and return its output."""
        ran = subprocess.run(
            [str(HG), *args], env=self.env, capture_output=True, text=True
        )
        assert ran.returncode == 0, (args, ran)
        return ran.stdout

    def get(self, path: str) -> bytes:
        """Return the body of a successful response."""
        with urllib.request.urlopen(self.url + path) as response:
            body: bytes = response.read()
        return body

    def get_together(self, path: str, count: int) -> list[bytes | Exception]:
        """Return what ``count`` requests at the same time got."""
        found: list[bytes | Exception] = []
        barrier = threading.Barrier(count)

        def run() -> None:
            barrier.wait()
            try:
                found.append(self.get(path))
            except Exception as exc:
                found.append(exc)

        threads = [threading.Thread(target=run) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    def stop(self) -> dict[str, list[str]]:
        """Stop the server, and return what it loaded when."""
        self.process.terminate()
        self.process.wait()
        # Other errors are possible: a client may close its connection early.
        output = (self.folder / 'output').read_text()
        assert 'AttributeError' not in output
        assert 'ImportError' not in output
        found: dict[str, list[str]] = json.loads(self.result.read_text())
        return found


@pytest.fixture
def server(
    request: pytest.FixtureRequest, tmp_path: pathlib.Path
) -> Iterator[Running]:
    """A new server, which has not answered any request."""
    kind, name = request.param
    running = Running(tmp_path, kind, SETS[name])
    yield running
    running.process.kill()
    running.process.wait()


@pytest.mark.parametrize(
    'server',
    [
        *(('serve', name) for name in SETS),
        ('wsgi', 'sqlitestore'),
        ('hgwebdir', 'sqlitestore'),
        ('hgwebdir', 'all'),
    ],
    ids='-'.join,
    indirect=True,
)
def test_requests_load_no_module(
    server: Running, tmp_path: pathlib.Path
) -> None:
    head = server.hg('-R', str(server.repo), 'log', '-r', 'tip', '-T{node}')
    query = urllib.parse.urlencode(
        {'cmd': 'getbundle', 'common': NULL, 'heads': head}
    )
    # The bundle is the first that the server sends.
    bundles = server.get_together(f'?{query}', 4)
    assert len(bundles) == 4
    assert len(set(bundles)) == 1, bundles
    assert isinstance(bundles[0], bytes), bundles
    for page in PAGES:
        server.get(page)
    clone = tmp_path / 'clone'
    server.hg('clone', '-q', server.url, str(clone))
    (clone / 'f0').write_text('third\n')
    server.hg('-R', str(clone), 'commit', '-qm', 'third')
    server.hg('-R', str(clone), 'push', '-q', server.url)
    server.hg('clone', '-q', '--stream', server.url, str(tmp_path / 'stream'))
    found = server.stop()
    assert found['lazy'] == []
    late = [n for n in found['late'] if n.split('.')[0] in WATCHED]
    assert late == []


@pytest.mark.parametrize(
    'modules',
    [
        lfsserver.REQUEST_MODULES,
        sqlitestore.REQUEST_MODULES,
        wireprotov2.REQUEST_MODULES,
    ],
)
def test_modules_to_load_exist(modules: tuple[str, ...]) -> None:
    """A misspelled name would be skipped when the server loads its modules."""
    for name in modules:
        assert importlib.util.find_spec(name), name


@pytest.mark.parametrize(
    'options', [['--stdio'], ['--cmdserver', 'pipe']], ids=['ssh', 'commands']
)
def test_servers_without_threads_stay_lazy(
    options: list[str], tmp_path: pathlib.Path
) -> None:
    """These start for each connection, so loading everything would be slow."""
    probe = tmp_path / 'probe.py'
    probe.write_text(
        'import atexit, sys\n'
        'from hgext3rd.amalgam import loading\n'
        'def tell():\n'
        f'    names = {OF_REQUESTS}\n'
        '    sys.stderr.write("%s" % list(filter(loading.is_loaded, names)))\n'
        'def uisetup(ui):\n'
        '    atexit.register(tell)\n'
    )
    hgrc = tmp_path / 'hgrc'
    hgrc.write_text(
        '[extensions]\n'
        + ''.join(f'{name} =\n' for name in SETS['all'])
        + f'probe = {probe}\n'
    )
    subprocess.run([str(HG), 'init', str(tmp_path / 'r')], check=True)
    ran = subprocess.run(
        [str(HG), '-R', str(tmp_path / 'r'), 'serve', *options],
        env=dict(os.environ, HGRCPATH=str(hgrc)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert ran.stderr == '[]'
