# SPDX-License-Identifier: GPL-2.0-or-later
"""Show the three extensions at work together on real content.

The releases of a PyPI package become the changesets of a repository in SQLite.
A server with a cache serves the repository.  The demo clones it over version 2
of the wire protocol into SQLite, pulls, pushes, and transfers large files with
hg and with git-lfs.

The demo checks everything that it prints.  The first check that fails ends it.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

ROOT = pathlib.Path(__file__).resolve().parent.parent
HG = pathlib.Path(sys.executable).with_name('hg')

PACKAGE = 'requests'
# 2.3.0 renames a folder, and 2.16.0 removes most of the files.
RELEASES = (
    *('2.0.0', '2.3.0', '2.5.3', '2.8.1', '2.10.0', '2.13.0', '2.16.0'),
    *('2.20.0', '2.25.1', '2.28.2', '2.31.0', '2.32.3'),
)
# Bytes of a large file.
LARGE = 12 * 1024 * 1024

# Cache events in the blackbox log, and the words for their counts in the demo.
CACHE_EVENTS = {
    'cache hit': 'hits',
    'cache miss': 'misses',
    'storing cache entry': 'new entries',
}

COMMON = """
[ui]
username = Demo <demo@example.com>
interactive = no
[extensions]
sqlitestore =
wireprotov2 =
lfs =
blackbox =
[storage]
new-repo-backend = sqlite
[blackbox]
track = *
"""
SERVER = """
[extensions]
lfsserver =
[wireprotov2]
cacher = directory
[web]
allow-push = *
push_ssl = no
"""
CLIENT = """
[lfs]
usercache = {usercache}
[experimental]
lfs.disableusercache = yes
"""


class Demo:
    """The folders and the server of one demo, and how to run hg in them.

    ``url`` is the address of the server while it runs.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.server = folder / 'server'
        self.clone = folder / 'clone'
        self.access_log = folder / 'access.log'
        self.url = ''
        for name, extra in (('server', SERVER), ('client', CLIENT)):
            text = COMMON + extra.format(usercache=folder / 'usercache')
            (folder / f'{name}.rc').write_text(text, encoding='utf-8')

    def hg(
        self, *words: object, side: str = 'client', cwd: object = None
    ) -> str:
        """Run hg with the configuration of ``side``; return its output.

        ``side`` is "server" or "client".
        """
        env = self.environment(side)
        return execute(str(HG), *words, env=env, cwd=cwd or self.folder)

    def environment(self, side: str) -> dict[str, str]:
        """Return the environment variables of hg on ``side``."""
        rc = str(self.folder / f'{side}.rc')
        return dict(os.environ, HGRCPATH=rc, HGPLAIN='1')

    def requests(self) -> Counter[str]:
        """Count the requests in the server's access log by their commands."""
        counts: Counter[str] = Counter()
        for line in self.access_log.read_text(encoding='utf-8').splitlines():
            match = re.search(r'"[A-Z]+ (\S+) HTTP', line)
            path = match.group(1) if match else ''
            if path.startswith('/api/'):
                counts['v2 ' + path.split('?')[0].split('/')[-1]] += 1
            elif 'cmd=' in path:
                counts['v1 ' + path.split('cmd=')[1].split('&')[0]] += 1
        return counts

    def cache_events(self) -> Counter[str]:
        """Count the cache events in the server's blackbox log."""
        log = self.server / '.hg' / 'blackbox.log'
        text = log.read_text(encoding='utf-8', errors='replace')
        events = '|'.join(CACHE_EVENTS)
        return Counter(re.findall(f'({events}) for', text))


def execute(*words: object, env: dict[str, str], cwd: object) -> str:
    """Run a program; return its output, or end the demo if it fails."""
    done = subprocess.run(
        [str(word) for word in words],
        env=env,
        cwd=str(cwd),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    output = done.stdout.decode('utf-8', 'replace')
    if done.returncode:
        command = ' '.join(str(word) for word in words)
        raise SystemExit(f'$ {command}\n{output}failed ({done.returncode})')
    return output


def check(is_true: bool, claim: str) -> None:
    """End the demo with the claim unless it is true."""
    if not is_true:
        raise SystemExit(f'demo: this is not true: {claim}')


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print the title of a step, and its duration at the end."""
    print(f'\n== {title}', flush=True)
    start = time.monotonic()
    yield
    print(f'   {time.monotonic() - start:.1f} s', flush=True)


def say(text: str) -> None:
    """Print a line of the current step."""
    print(f'   {text}', flush=True)


def size(path: pathlib.Path) -> int:
    """Return the size in bytes of a file, or of all files below a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(
        item.stat().st_size for item in path.rglob('*') if item.is_file()
    )


def mib(count: int) -> str:
    return f'{count / 1048576:.2f} MiB'


def sha256(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def download(folder: pathlib.Path) -> list[pathlib.Path]:
    """Download the wheels of all releases, unless they are there already.

    Return their paths in the order of the releases.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wheels: list[pathlib.Path] = []
    for release in RELEASES:
        pattern = f'{PACKAGE}-{release}-*.whl'
        if not list(folder.glob(pattern)):
            pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check']
            get = ['download', '-q', '--no-deps', '--only-binary=:all:']
            what = [f'{PACKAGE}=={release}', '--dest', str(folder)]
            subprocess.run(
                [*pip, *get, *what], check=True, stderr=subprocess.DEVNULL
            )
        wheels.extend(folder.glob(pattern))
    return wheels


def commit_release(demo: Demo, wheel: pathlib.Path, release: str) -> None:
    """Replace the files in the server's working copy by a release; commit."""
    for entry in demo.server.iterdir():
        if entry.name != '.hg':
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    with zipfile.ZipFile(wheel) as archive:
        content = [n for n in archive.namelist() if '.dist-info/' not in n]
        archive.extractall(demo.server, content)
    for command in (
        ('addremove', '-q', '--similarity', '60'),
        ('commit', '-m', f'{PACKAGE} {release}'),
    ):
        demo.hg(*command, side='server', cwd=demo.server)


def create(demo: Demo, wheels: list[pathlib.Path]) -> None:
    """Create the server's repository with all releases except the last."""
    demo.hg('init', demo.server, side='server')
    requirements = (demo.server / '.hg' / 'requires').read_text()
    store_requires = demo.server / '.hg' / 'store' / 'requires'
    if store_requires.exists():
        requirements += store_requires.read_text()
    check('sqlitestore-v3' in requirements, 'the repository is in SQLite')
    for wheel, release in zip(wheels[:-1], RELEASES[:-1], strict=True):
        commit_release(demo, wheel, release)
    renamed = removed = 0
    for line in demo.hg(
        *('log', '-T', '{file_copies|count} {file_dels|count}\n'),
        side='server',
        cwd=demo.server,
    ).splitlines():
        copies, dels = line.split()
        renamed, removed = renamed + int(copies), removed + int(dels)
    check(renamed > 0 and removed > 0, 'the history has renames and removals')
    say(
        f'{len(wheels) - 1} changesets, with {renamed} renamed or copied files'
        f' and {removed} removed files'
    )
    database = demo.server / '.hg' / 'store' / 'history.sqlite'
    say(f'history of files: {mib(size(database))} in {database.name}')
    demo.hg('admin::sqlite-repack', '-q', side='server', cwd=demo.server)
    say(f'after hg admin::sqlite-repack: {mib(size(database))}')
    plain = demo.folder / 'revlog'
    backend = '--config=storage.new-repo-backend=revlogv1'
    demo.hg('clone', '-q', '-U', '--pull', backend, demo.server, plain)
    say(f'the same in revlogs: {mib(size(plain / ".hg" / "store" / "data"))}')


@contextmanager
def serving(demo: Demo) -> Iterator[None]:
    """Run a server for the repository on a free loopback port."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    command = [str(HG), '-R', str(demo.server), 'serve', '-a', '127.0.0.1']
    command += ['-p', str(port), '-A', str(demo.access_log)]
    command += ['-E', str(demo.folder / 'error.log')]
    with (demo.folder / 'server.out').open('wb') as out:
        process = subprocess.Popen(
            command, env=demo.environment('server'), stdout=out, stderr=out
        )
    try:
        for _ in range(200):
            try:
                socket.create_connection(('127.0.0.1', port)).close()
                break
            except OSError:
                time.sleep(0.05)
        else:
            raise SystemExit('demo: the server does not accept connections')
        demo.url = f'http://127.0.0.1:{port}/'
        yield
    finally:
        process.terminate()
        process.wait()


def clone(demo: Demo) -> None:
    """Clone twice, the second time with responses from the cache."""
    for name in ('clone', 'second'):
        requests, events = demo.requests(), demo.cache_events()
        start = time.monotonic()
        demo.hg('clone', '-q', demo.url, demo.folder / name)
        elapsed = time.monotonic() - start
        seen = demo.requests() - requests
        decisions = demo.cache_events() - events
        v2 = {n[3:]: c for n, c in seen.items() if n.startswith('v2 ')}
        check(bool(v2), 'the clone used version 2')
        check('v1 getbundle' not in seen, 'the clone did not use version 1')
        asked = ', '.join(f'{c} {n}' for n, c in sorted(v2.items()))
        told = ', '.join(
            f'{decisions[event]} {outcome}'
            for event, outcome in CACHE_EVENTS.items()
            if decisions[event]
        )
        say(f'{name}: {elapsed:.1f} s; v2 requests: {asked}; cache: {told}')
    check(decisions['cache hit'] > 0, 'the second clone came from the cache')
    check(decisions['cache miss'] == 0, 'the second clone had no cache misses')
    heads = ('log', '-r', 'all()', '-T', '{node} {manifest}\n')
    server = demo.hg(*heads, side='server', cwd=demo.server)
    check(server == demo.hg(*heads, cwd=demo.clone), 'the clone is identical')
    drafts = demo.hg('log', '-r', 'not public()', cwd=demo.clone)
    check(not drafts, 'all changesets of the clone are public')
    database = demo.clone / '.hg' / 'store' / 'history.sqlite'
    check(database.exists(), 'the clone keeps the history of files in SQLite')
    say(f'the history is identical; {database.name} has {mib(size(database))}')


def pull_and_push(demo: Demo, wheel: pathlib.Path) -> None:
    """Pull the last release into the clone, and push a changeset back."""
    commit_release(demo, wheel, RELEASES[-1])
    before = demo.requests()
    demo.hg('pull', '-q', '-u', cwd=demo.clone)
    seen = demo.requests() - before
    check(any(n.startswith('v2 ') for n in seen), 'the pull used version 2')
    tip = ('log', '-r', 'tip', '-T', '{desc|firstline}')
    pulled = demo.hg(*tip, cwd=demo.clone)
    check(pulled.endswith(RELEASES[-1]), 'the pull brought the last release')
    say(f'pulled "{pulled}" over version 2')

    note = demo.clone / 'NOTES'
    note.write_text('Written in the clone.\n', encoding='utf-8')
    demo.hg('commit', '-q', '-A', '-m', 'notes from the clone', cwd=demo.clone)
    demo.hg('push', '-q', cwd=demo.clone)
    pushed = demo.hg(*tip, side='server', cwd=demo.server)
    check(
        pushed == 'notes from the clone', 'the server has the pushed changeset'
    )
    say(f'pushed "{pushed}" to the server')


def large_file_hg(demo: Demo) -> None:
    """Push a large file with hg's LFS client; pull it into another clone."""
    blob = demo.clone / 'large.bin'
    blob.write_bytes(random.Random(1).randbytes(LARGE))
    track = '--config=lfs.track=size(">1MB")'
    demo.hg('commit', '-q', '-A', '-m', 'a large file', track, cwd=demo.clone)
    demo.hg('push', '-q', cwd=demo.clone)
    stored = demo.server / '.hg/store/lfs/objects'
    name = sha256(blob)
    check(
        (stored / name[:2] / name[2:]).exists(),
        'the server stores the large file',
    )
    second = demo.folder / 'second'
    demo.hg('pull', '-q', '-u', cwd=second)
    check(sha256(second / 'large.bin') == name, 'the large file is identical')
    say(f'{mib(LARGE)} pushed and pulled with hg, SHA-256 {name[:12]}...')


def large_file_git(demo: Demo) -> None:
    """Push and clone a large file with git-lfs.

    The git repositories are local.  Only the large file goes to the server.
    """
    if not (shutil.which('git') and shutil.which('git-lfs')):
        say('skipped: git-lfs is not installed')
        return
    env = dict(os.environ, HOME=str(demo.folder), GIT_CONFIG_NOSYSTEM='1')
    for who in ('AUTHOR', 'COMMITTER'):
        env[f'GIT_{who}_NAME'] = 'Demo'
        env[f'GIT_{who}_EMAIL'] = 'demo@example.com'

    def git(*words: object, cwd: pathlib.Path) -> str:
        return execute('git', *words, env=env, cwd=cwd)

    origin, work, other = (demo.folder / n for n in ('g.git', 'g', 'g2'))
    endpoint = f'lfs.url={demo.url}.git/info/lfs'
    git('lfs', 'install', '--skip-repo', cwd=demo.folder)
    git('init', '-q', '--bare', origin, cwd=demo.folder)
    git('-c', endpoint, 'clone', '-q', origin, work, cwd=demo.folder)
    git('config', *endpoint.split('=', 1), cwd=work)
    git('lfs', 'track', '*.bin', cwd=work)
    blob = work / 'large.bin'
    blob.write_bytes(random.Random(2).randbytes(LARGE))
    git('add', '.', cwd=work)
    git('commit', '-q', '-m', 'a large file', cwd=work)
    git('push', '-q', 'origin', 'HEAD', cwd=work)
    stored = demo.server / '.hg/store/lfs/objects'
    name = sha256(blob)
    check(
        (stored / name[:2] / name[2:]).exists(),
        'the server stores the large file',
    )
    git('-c', endpoint, 'clone', '-q', origin, other, cwd=demo.folder)
    check(sha256(other / 'large.bin') == name, 'the large file is identical')
    say(f'{mib(LARGE)} pushed and cloned with git-lfs, SHA-256 {name[:12]}...')


def verify(demo: Demo) -> None:
    """Verify the server's repository and the clone."""
    for side, repository in (('server', demo.server), ('client', demo.clone)):
        output = demo.hg('verify', side=side, cwd=repository)
        last = [line for line in output.splitlines() if 'checked' in line]
        say(f'{side}: {last[-1] if last else "verified"}')


def main() -> None:
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix='amalgam-demo-') as folder:
        demo = Demo(pathlib.Path(folder).resolve())
        version = demo.hg('version', '-q').strip()
        print(version)
        with step(f'Download {len(RELEASES)} releases of {PACKAGE}'):
            wheels = download(ROOT / '.cache' / 'demo')
        with step(
            'sqlitestore: create a repository with a changeset for each release'
        ):
            create(demo, wheels)
        with serving(demo):
            with step('wireprotov2: clone twice over HTTP'):
                clone(demo)
            with step('wireprotov2: pull a new changeset and push another'):
                pull_and_push(demo, wheels[-1])
            with step('lfsserver: transfer a large file with hg'):
                large_file_hg(demo)
            with step('lfsserver: transfer a large file with git-lfs'):
                large_file_git(demo)
        with step('Verify both repositories'):
            verify(demo)
    print(f'\nAll checks passed in {time.monotonic() - start:.1f} s.')


if __name__ == '__main__':
    main()
