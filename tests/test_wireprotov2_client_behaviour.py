# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever users do, version 2 does what version 1 does.

Each scenario runs with both, and then with history in pieces. What commands
print, what hooks are told and what the repositories hold must be the same;
with pieces, what the repositories hold.
"""

from __future__ import annotations

import io
import os
import pathlib
import re
import shutil
from collections.abc import Callable

import pytest
from helpers import wireprotov2_conversation as conversation
from mercurial import dispatch, encoding

from hgext3rd.wireprotov2.segments import cut

try:
    from mercurial.main_script import request as Request
except ImportError:
    Request = dispatch.request  # hg <= 7.1

URL = conversation.URL.decode()

HGRC = """\
[extensions]
wireprotov2 =
rebase =
share =
strip =
[ui]
username = test
interactive = no
logtemplate = {rev}:{node|short} {phase} {branch} {bookmarks} {desc}\\n
[devel]
default-date = 0 0
[phases]
publish = no
[experimental]
evolution = all
[wireprotov2]
retry = 0
connections = 1
"""

SERVER_HGRC = """\
[web]
push_ssl = no
allow-push = *
[experimental]
server.allow-hidden-access = *
"""

HOOK = """\
import json
def note(ui, repo, hooktype=None, **kwargs):
    # these are different every time
    for name in ('txnid', 'pending', 'changes', 'sharedpending', 'transaction'):
        kwargs.pop(name, None)
    text = {k: str(v) for k, v in sorted(kwargs.items())}
    with open(%r, 'a') as out:
        out.write('%%s %%s\\n' %% (hooktype, json.dumps(text)))
"""

HOOKS = (
    'prechangegroup',
    'pretxnchangegroup',
    'changegroup',
    'incoming',
    'pretxnclose',
    'pretxnclose-phase',
    'txnclose-bookmark',
    'preoutgoing',
)

# of everything that is exchanged
STATE = (
    '{node} {p1node} {p2node} {phase} {bookmarks} {tags} {obsolete} {extras}\n'
)


class World:
    """A server and a client; all that is printed is in ``output``."""

    def __init__(self, folder: pathlib.Path, template: pathlib.Path) -> None:
        self.folder = folder
        self.template = template
        self.output: list[str] = []
        self.log = folder / 'hooks.log'
        self.config: list[str] = []
        self.wire: conversation.Wire
        self.use('main')

    def use(self, name: str, extra: str = '') -> None:
        """Have the server serve a copy of one of the histories."""
        self.server = self.folder / 'server'
        if self.server.exists():
            shutil.rmtree(self.server)
        shutil.copytree(self.template / name, self.server)
        (self.server / '.hg' / 'hgrc').write_text(SERVER_HGRC + extra)

    def hg(self, *args: object) -> str:
        """Run a command below the folder; return what it printed."""
        out = io.BytesIO()
        words = [str(arg) for arg in args]
        for item in self.config:
            words[1:1] = ['--config', item]
        os.chdir(self.folder)
        request = Request(
            [os.fsencode(word) for word in words],
            fin=io.BytesIO(),
            fout=out,
            ferr=out,
        )
        code = dispatch.dispatch(request)
        text = out.getvalue().decode()
        text = re.sub(r'txn:\S+|/\S*saved-\S+|\d+ bytes', 'X', text)
        said = f'$ hg {" ".join(words)}\n{text}[{code}]'
        self.output.append(said.replace(str(self.folder), '$FOLDER'))
        assert 'Traceback' not in text, self.output[-1]
        return text

    def hooks(self) -> None:
        """From now on note what hooks are told."""
        path = self.folder / 'hook.py'
        path.write_text(HOOK % str(self.log))
        self.config += [f'hooks.{h}.note=python:{path}:note' for h in HOOKS]

    def state(self) -> dict[str, str]:
        """Return what all repositories hold."""
        found = {}
        for hgdir in sorted(self.folder.rglob('.hg')):
            name = str(hgdir.parent.relative_to(self.folder))
            found[name] = self.hg('log', '-R', name, '--hidden', '-T', STATE)
            self.hg('debugobsolete', '-R', name, '--exclusive')
            verified = self.hg('verify', '-R', name)
            assert 'encountered' not in verified, verified
            found[name] += self.hg('debugobsolete', '-R', name)
            found[name] += self.hg('id', '-R', name)
        return found


def make_histories(folder: pathlib.Path) -> None:
    """Create what is served: branches, a closed one, tags, phases, markers."""
    world = World.__new__(World)
    world.folder, world.config, world.output = folder, [], []
    hg = world.hg

    def commit(repo: str, text: str, *args: str) -> None:
        (folder / repo / text).write_text(text)
        hg('commit', '-R', repo, '-qA', '-m', text, *args)

    hg('init', 'main')
    for text in 'abc':
        commit('main', text)
    hg('branch', '-R', 'main', '-q', 'stable')
    commit('main', 'd')
    hg('tag', '-R', 'main', 'v1')
    hg('update', '-R', 'main', '-q', '1')
    hg('branch', '-R', 'main', '-q', 'dead')
    commit('main', 'e')
    hg('commit', '-R', 'main', '--close-branch', '-m', 'close')
    hg('update', '-R', 'main', '-q', 'default')
    hg('merge', '-R', 'main', '-q', 'stable')
    hg('commit', '-R', 'main', '-m', 'merge')
    hg('phase', '-R', 'main', '--public', '-r', 'all()')
    commit('main', 'f')
    hg('bookmark', '-R', 'main', '-r', '2', 'mark')
    commit('main', 'g')
    (folder / 'main' / 'g').write_text('amended')
    hg('commit', '-R', 'main', '--amend', '-m', 'g2')
    commit('main', 'h', '--secret')
    hg('update', '-R', 'main', '-q', 'null')
    hg('init', 'empty')
    hg('init', 'secret')
    commit('secret', 'a', '--secret')
    hg('init', 'unrelated')
    commit('unrelated', 'z')


@pytest.fixture(scope='module')
def template(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp('histories')
    before = os.getcwd(), os.environ.get('HGRCPATH')
    rc = folder / 'hgrc'
    rc.write_text(HGRC)
    encoding.environ[b'HGRCPATH'] = os.fsencode(rc)
    make_histories(folder)
    os.chdir(before[0])
    return folder


def run(
    scenario: Callable[[World], None],
    template: pathlib.Path,
    folder: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
) -> World:
    folder = folder / mode
    folder.mkdir()
    monkeypatch.setitem(
        encoding.environ, b'HGRCPATH', os.fsencode(template / 'hgrc')
    )
    monkeypatch.setattr(
        cut, 'LEAST_CHANGESETS', 2 if mode == 'pieces' else 1000
    )
    world = World(folder, template)
    with monkeypatch.context() as patch:
        wire = conversation.connect(patch, world.server)
        wire.live = True
        world.wire = wire
        if mode == 'v1':
            world.config.append('wireprotov2.client=no')
        scenario(world)
    return world


# -- scenarios


def clones(world: World) -> None:
    hg = world.hg
    hg('clone', URL, 'plain')
    hg('clone', '-U', URL, 'bare')
    hg('clone', '-r', '3', URL, 'rev')
    hg('clone', '-r', 'mark', '-r', 'v1', URL, 'revs')
    hg('clone', '-b', 'stable', URL, 'branch')
    hg('clone', f'{URL}#stable', 'fragment')
    hg('clone', '-u', '2', URL, 'updated')
    hg('clone', '-u', 'mark', URL, 'marked')
    hg('clone', '--noupdate', '--pull', URL, 'pulled')
    hg('clone', '-r', 'nonesuch', URL, 'nothing')
    hg('clone', URL, 'plain')


def copied(world: World) -> None:
    hg = world.hg
    hg('clone', '--stream', '-U', URL, 'stream')
    hg('clone', '--uncompressed', URL, 'uncompressed')
    hg('pull', '-R', 'stream')
    # without being asked
    world.use('main', '[server]\npreferuncompressed = yes\n')
    hg('clone', '-U', URL, 'preferred')


def nothing(world: World) -> None:
    hg = world.hg
    for name in ('empty', 'secret'):
        world.use(name)
        hg('clone', URL, name)
        hg('pull', '-R', name)
        hg('incoming', '-R', name)
        hg('identify', URL)
    world.use('main')
    hg('pull', '-R', 'empty', URL)


def pools(world: World) -> None:
    hg = world.hg
    for naming in ('identity', 'remote'):
        world.config += [f'share.pool={naming}', f'share.poolnaming={naming}']
        hg('clone', URL, f'{naming}-one')
        hg('clone', '-u', '2', URL, f'{naming}-two')
        hg('pull', '-R', f'{naming}-two')


def pulls(world: World) -> None:
    hg = world.hg
    hg('init', 'into')
    hg('pull', '-R', 'into', URL, '-r', '1')
    hg('pull', '-R', 'into', URL, '-b', 'stable')
    hg('pull', '-R', 'into', URL, '-B', 'mark')
    hg('pull', '-R', 'into', URL, '-r', 'nonesuch')
    hg('pull', '-R', 'into', URL, '-u')
    hg('pull', '-R', 'into', URL)
    hg('pull', '-R', 'into', f'{URL}#dead')
    hg('init', 'sure')
    hg('pull', '-R', 'sure', URL, '--confirm', '-y')
    hg('clone', '-r', '2', URL, 'mine')
    (world.folder / 'mine' / 'new').write_text('new')
    hg('commit', '-R', 'mine', '-A', '-m', 'mine')
    hg('pull', '-R', 'mine', '--rebase')
    world.use('unrelated')
    hg('pull', '-R', 'into', URL)
    hg('pull', '-R', 'into', '-f', URL)


def lookups(world: World) -> None:
    hg = world.hg
    hg('identify', URL)
    hg('identify', '-r', 'stable', '-ib', URL)
    hg('identify', '-B', URL)
    hg('clone', '-r', '1', URL, 'part')
    hg('incoming', '-R', 'part')
    hg('incoming', '-R', 'part', '-p', '-r', '3')
    hg('incoming', '-R', 'part', '-B')
    hg('incoming', '-R', 'part', '-b', 'stable')
    hg('incoming', '-R', 'part', '--bundle', 'in.hg', '-q')
    hg('log', '-R', 'part', '-r', '2:', '-p')
    hg('log', '-R', 'in.hg', '-p', '--cwd', 'part')
    hg('unbundle', '-R', 'part', 'in.hg')
    hg('incoming', '-R', 'part')
    hg('outgoing', '-R', 'part')
    (world.folder / 'part' / 'new').write_text('new')
    hg('commit', '-R', 'part', '-A', '-m', 'mine')
    hg('outgoing', '-R', 'part')
    hg('log', '-R', 'part', '-r', f"outgoing('{URL}')")
    hg('summary', '-R', 'part', '--remote')
    world.use('unrelated')
    hg('incoming', '-R', 'part', URL)


def pushes(world: World) -> None:
    hg = world.hg
    hg('clone', URL, 'work')
    work = world.folder / 'work'

    def commit(text: str) -> None:
        (work / text).write_text(text)
        hg('commit', '-R', 'work', '-A', '-m', text)

    commit('one')
    hg('push', '-R', 'work')
    hg('update', '-R', 'work', '2')
    commit('head')
    hg('push', '-R', 'work')
    hg('push', '-R', 'work', '-f', '-r', '.')
    hg('branch', '-R', 'work', 'fresh')
    commit('branched')
    hg('push', '-R', 'work')
    hg('push', '-R', 'work', '--new-branch')
    hg('bookmark', '-R', 'work', 'topic')
    hg('push', '-R', 'work', '-B', 'topic')
    hg('bookmark', '-R', 'work', '-d', 'topic')
    hg('push', '-R', 'work', '-B', 'topic')
    hg('push', '-R', 'work')
    # somebody else
    hg('clone', '-q', 'server', 'other', '--config', 'phases.publish=no')
    (world.folder / 'other' / 'theirs').write_text('theirs')
    hg('commit', '-R', 'other', '-A', '-m', 'theirs')
    hg('push', '-R', 'other', '-f')
    hg('push', '-R', 'work', '-r', 'fresh')
    hg('pull', '-R', 'work')


def phased(world: World) -> None:
    hg = world.hg
    hg('clone', URL, 'draft')
    world.use('main', '[phases]\npublish = yes\n')
    hg('clone', URL, 'public')
    hg('pull', '-R', 'draft')
    # what is published there is published here, without new changesets
    world.use('main')
    hg('clone', URL, 'late')
    hg('phase', '-R', 'server', '--public', '-r', '8')
    hg('pull', '-R', 'late')
    hg('pull', '-R', 'late', '-r', '2')
    # what is public here becomes so there
    hg('phase', '-R', 'late', '--public', '-r', 'head()')
    hg('push', '-R', 'late')


def evolved(world: World) -> None:
    hg = world.hg
    hg('clone', URL, 'work')
    hg('update', '-R', 'server', '-q', '8')
    (world.server / 'f').write_text('f changed')
    hg('commit', '-R', 'server', '--amend', '-m', 'f amended')
    hg('pull', '-R', 'work')
    hg('update', '-R', 'work', '-q', 'tip')
    (world.folder / 'work' / 'mine').write_text('mine')
    hg('commit', '-R', 'work', '-A', '--amend', '-m', 'mine')
    hg('push', '-R', 'work', '-f')
    hg('clone', URL, 'again')
    # markers without changesets
    hg('log', '-R', 'server', '--hidden', '-r', 'obsolete()')
    hg('pull', '-R', 'again')
    hg('pull', '-R', 'work', '--config', 'experimental.evolution=')


def hidden(world: World) -> None:
    hg = world.hg
    rev = hg(
        'log', '-R', 'server', '--hidden', '-r', 'obsolete()', '-T', '{node}'
    )
    hg('clone', '-r', '2', URL, 'work')
    hg('pull', '-R', 'work', '-r', rev.strip())
    hg('pull', '-R', 'work', '--remote-hidden', '-r', rev.strip())
    hg('log', '-R', 'work')


def bookmarks(world: World) -> None:
    hg = world.hg
    hg('clone', URL, 'work')
    hg('bookmark', '-R', 'server', '-f', '-r', '3', 'mark')
    hg('bookmark', '-R', 'server', '-r', '4', 'new')
    hg('pull', '-R', 'work')
    hg('bookmark', '-R', 'work', '-f', '-r', '0', 'mark')
    hg('pull', '-R', 'work')
    hg('pull', '-R', 'work', '-B', 'mark')
    hg('bookmark', '-R', 'server', '-d', 'new')
    hg('incoming', '-R', 'work', '-B')
    hg('outgoing', '-R', 'work', '-B')
    hg('bookmarks', '-R', 'work')


def hooked(world: World) -> None:
    hg = world.hg
    world.hooks()
    hg('clone', '-U', '-r', '3', URL, 'work')
    hg('pull', '-R', 'work')
    hg('pull', '-R', 'work')
    hg('push', '-R', 'work')
    world.config.append('hooks.pretxnchangegroup.refuse=false')
    hg('clone', '-r', '2', URL, 'refused')


def bundled(world: World) -> None:
    hg = world.hg
    hg('bundle', '-R', 'server', '-r', '5', '--base', 'null', 'bundle.hg')
    manifest = world.server / '.hg' / 'clonebundles.manifest'
    manifest.write_text(f'file://{world.folder}/bundle.hg BUNDLESPEC=none-v2\n')
    world.config.append('extensions.clonebundles=')
    hg('clone', '-U', URL, 'bundled')
    hg('clone', '-U', '-r', '2', URL, 'part')
    hg('clone', '-U', URL, 'plain', '--config', 'ui.clonebundles=no')
    manifest.write_text('file:///nonesuch BUNDLESPEC=none-v2\n')
    hg('clone', '-U', URL, 'failed')
    hg('clone', '-U', URL, 'on', '--config', 'ui.clonebundlefallback=yes')
    manifest.write_text('file:///nonesuch BUNDLESPEC=unknown-v9\n')
    hg('clone', '-U', URL, 'unsuitable')


SCENARIOS: list[Callable[[World], None]] = [
    clones,
    copied,
    nothing,
    pools,
    pulls,
    lookups,
    pushes,
    phased,
    evolved,
    hidden,
    bookmarks,
    hooked,
    bundled,
]


@pytest.mark.parametrize('scenario', SCENARIOS, ids=lambda s: s.__name__)
def test_same(
    scenario: Callable[[World], None],
    template: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    worlds = {}
    states = {}
    plain = ''
    for mode in ('v1', 'v2', 'pieces'):
        world = run(scenario, template, tmp_path, monkeypatch, mode)
        worlds[mode] = world
        said = '\n'.join(world.output)
        said = said.replace('--config wireprotov2.client=no ', '')
        if mode == 'v2':
            assert said.splitlines() == plain.splitlines()
        plain = said
        states[mode] = world.state()
    assert states['v2'] == states['v1']
    for name, state in states['v1'].items():
        assert sorted(states['pieces'][name].splitlines()) == sorted(
            state.splitlines()
        )
    if worlds['v1'].log.exists():
        assert worlds['v2'].log.read_text() == worlds['v1'].log.read_text()
    if scenario is not copied:
        asked = worlds['v2'].wire.requests
        assert any('multirequest' in name for name in asked)
