# SPDX-License-Identifier: GPL-2.0-or-later
"""What one scrape of the metrics of many repositories costs a server.

usage: python -m benchmarks.scrape [--repositories N] [--commands N]

Makes small repositories in SQLite, answers requests to each so that there are
counters, and scrapes the root of the server, in one process. The first scrape
opens every database; later ones open those that have changed.
"""

from __future__ import annotations

import argparse
import io
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from benchmarks.workspace import HG

HGRC = """\
[ui]
username = bench
[extensions]
sqlitestore =
wireprotov2 =
lfsserver =
[storage]
new-repo-backend = sqlite
[wireprotov2]
metrics = yes
cacher = directory
limit.computing = 4
[paths]
/ = {folder}/repos/*
"""

#: Names of commands that clients use most.
COMMANDS = (
    b'segments',
    b'segmentdata',
    b'changesetdata',
    b'filesdata',
    b'manifestdata',
    b'heads',
)


def make_repositories(folder: pathlib.Path, count: int) -> None:
    first = folder / 'first'
    env = dict(os.environ, HGRCPATH=str(folder / 'web.conf'))
    subprocess.run([HG, 'init', str(first)], env=env, check=True)
    (first / 'file').write_text('content\n')
    subprocess.run([HG, '-R', first, 'ci', '-qAm', 'x'], env=env, check=True)
    for number in range(count):
        shutil.copytree(first, folder / 'repos' / f'repository{number}')


def scrape(app: object) -> tuple[float, float, int, int]:
    """Return seconds of CPU, of wall time, bytes and lines of a scrape."""
    env = {
        'REQUEST_METHOD': 'GET',
        'PATH_INFO': '/api/metrics',
        'SCRIPT_NAME': '',
        'QUERY_STRING': '',
        'SERVER_NAME': 'localhost',
        'SERVER_PORT': '80',
        'wsgi.url_scheme': 'http',
        'wsgi.input': io.BytesIO(),
        'wsgi.errors': sys.stderr,
    }
    wall, cpu = time.perf_counter(), time.process_time()
    body = b''.join(app(env, lambda *args: None))  # type: ignore[operator]
    return (
        time.process_time() - cpu,
        time.perf_counter() - wall,
        len(body),
        body.count(b'\n'),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description='measure scrapes of the metrics of many repositories'
    )
    parser.add_argument('--repositories', type=int, default=200)
    parser.add_argument('--commands', type=int, default=len(COMMANDS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name).resolve()
        config = folder / 'web.conf'
        config.write_text(HGRC.format(folder=folder))
        make_repositories(folder, options.repositories)
        os.environ['HGRCPATH'] = str(config)

        from mercurial.hgweb import hgweb

        app = hgweb(bytes(config))
        print('first scrape', *_shown(scrape(app)))
        print('again', *_shown(scrape(app)))

        from hgext3rd.wireprotov2.server import metrics

        class Repository:
            root: bytes

        for number in range(options.repositories):
            repo = Repository()
            repo.root = bytes(folder / 'repos' / f'repository{number}')
            for command in COMMANDS[: options.commands]:
                metrics.count_answer(
                    repo, b'exp-http-v2-0003', command, 0.1, 1000
                )
            for event in ('hit', 'miss', 'store'):
                metrics.count_cache(repo, event, 1000)
        for _round in range(3):
            print('with counters', *_shown(scrape(app)))


def _shown(measured: tuple[float, float, int, int]) -> tuple[str, ...]:
    cpu, wall, size, lines = measured
    return (
        f'{cpu * 1000:.0f} ms of CPU,',
        f'{wall * 1000:.0f} ms,',
        f'{size / 1e6:.2f} MB,',
        f'{lines} lines',
    )


if __name__ == '__main__':
    main()
