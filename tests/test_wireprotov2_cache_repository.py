# SPDX-License-Identifier: GPL-2.0-or-later
"""The state of a repository in cache keys, and the cacher of a repository."""

from __future__ import annotations

import os
import pathlib
import textwrap
from typing import Any

import pytest
from mercurial import commands, extensions, phases
from mercurial import ui as uimod

from hgext3rd.wireprotov2.access.requester import Requester
from hgext3rd.wireprotov2.cache import base, factory, identity, keys
from hgext3rd.wireprotov2.cache import state as cachestate
from hgext3rd.wireprotov2.cache.directory import DirectoryCacher
from hgext3rd.wireprotov2.cache.memory import MemoryCacher
from hgext3rd.wireprotov2.segments import bundle, cut
from hgext3rd.wireprotov2.segments.agreement import CacheAgreement
from hgext3rd.wireprotov2.segments.history import History
from hgext3rd.wireprotov2.server import warm

try:
    from mercurial.repo.factory import repository
except ImportError:  # hg <= 7.1
    from mercurial.hg import repository

NODE = b'\x11' * 20


@pytest.fixture
def ui(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = uimod.ui.load()
    made.setconfig(b'ui', b'username', b'test')
    made.setconfig(b'ui', b'quiet', b'yes')
    made.setconfig(b'extensions', b'wireprotov2', b'')
    monkeypatch.setattr(factory, '_shared', {})
    extensions.loadall(made)
    return made


@pytest.fixture
def repo(ui: Any, tmp_path: pathlib.Path) -> Any:
    """Two public changesets and a draft one on top."""
    made = repository(ui, os.fsencode(tmp_path / 'repo'), create=True)
    for number in range(3):
        add(ui, made, number)
    publish(made, 1)
    return made


def add(ui: Any, repo: Any, number: int) -> None:
    with open(repo.wjoin(b'file'), 'ab') as stream:
        stream.write(b'%d\n' % number)
    commands.commit(
        ui, repo, addremove=True, message=b'%d' % number, date=b'%d 0' % number
    )


def publish(repo: Any, rev: int) -> None:
    with repo.lock(), repo.transaction(b'phase') as tr:
        nodes = [repo[rev].node()]
        phases.advanceboundary(repo, tr, phases.public, nodes)


def served(repo: Any) -> Any:
    repo.invalidateall()
    return repo.filtered(b'served')


def state(
    repo: Any,
    args: dict[bytes, Any],
    command: bytes = b'changesetdata',
    user: bytes | None = None,
) -> keys.KeyState | None:
    requester = Requester(served(repo), user)
    return cachestate.key_state(
        requester, b'api', b'framing', command, args, b'identity'
    )


def changesets(repo: Any, *revs: int) -> dict[bytes, Any]:
    node = repo.unfiltered().changelog.node
    return {b'nodes': [node(rev) for rev in revs], b'fields': {b'parents'}}


def test_the_key_of_public_data_never_changes(ui: Any, repo: Any) -> None:
    args = changesets(repo, 0, 1)
    before = state(repo, args)
    assert before is not None and before.view == keys.PUBLIC
    add(ui, repo, 3)
    assert state(repo, args) == before


def test_the_key_of_drafts_depends_on_the_view(ui: Any, repo: Any) -> None:
    args = changesets(repo, 1, 2)
    before = state(repo, args)
    assert before is not None and before.view != keys.PUBLIC
    add(ui, repo, 3)
    after = state(repo, args)
    assert after is not None and after.view not in (keys.PUBLIC, before.view)
    publish(repo, len(repo) - 1)
    after = state(repo, args)
    assert after is not None and after.view == keys.PUBLIC


@pytest.mark.parametrize('rev, public', [(1, True), (2, False)])
def test_manifests_and_files(repo: Any, rev: int, public: bool) -> None:
    ctx = repo[rev]
    for command, args in (
        (b'manifestdata', {b'tree': b'', b'nodes': [ctx.manifestnode()]}),
        (
            b'filedata',
            {b'path': b'file', b'nodes': [ctx[b'file'].filenode()]},
        ),
    ):
        found = state(repo, args, command=command)
        assert found is not None
        assert (found.view == keys.PUBLIC) == public


def test_unknown_changesets_are_not_cached(ui: Any, repo: Any) -> None:
    args = {b'nodes': [NODE]}
    assert state(repo, args) is None
    publish(repo, len(repo) - 1)
    assert state(repo, args) is None


def test_commands_without_a_rule_are_not_cached(repo: Any) -> None:
    assert state(repo, {}, command=b'heads') is None
    assert state(repo, {b'nodes': 3}) is None


def test_bookmarks(ui: Any, repo: Any) -> None:
    args = changesets(repo, 0)
    plain = state(repo, args)
    args[b'fields'] = {b'parents', b'bookmarks'}
    before = state(repo, args)
    with repo.lock(), repo.transaction(b'bookmark') as tr:
        repo._bookmarks.applychanges(repo, tr, [(b'mark', repo[0].node())])
    after = state(repo, args)
    assert plain is not None and before is not None and after is not None
    assert plain.mutable == b''
    assert before.mutable != after.mutable


def test_narrow_access(ui: Any, repo: Any) -> None:
    args = changesets(repo, 0)
    for name, value in (
        (b'default.includes', b'path:a'),
        (b'alice.includes', b'path:b'),
        (b'alice.excludes', b'path:b/c'),
    ):
        repo.ui.setconfig(b'narrowacl', name, value)

    def narrow(user: bytes | None) -> Any:
        found = state(repo, args, user=user)
        assert found is not None
        return found.narrow

    assert narrow(None) == ((b'path:a',), ())
    assert narrow(b'bob') == ((b'path:a',), ())
    assert narrow(b'alice') == ((b'path:b',), (b'path:b/c',))
    history = History(Requester(served(repo)))
    assert not history.offered
    assert history.segments().segments() == ()
    assert history.find(NODE) is None
    assert history.key_state(NODE) is None


def test_repositories_are_told_apart(ui: Any, repo: Any) -> None:
    own = identity.of(served(repo))
    assert own.startswith(b'path:')
    repo.ui.setconfig(b'wireprotov2', b'cacher.identity', b'shared')
    assert identity.of(served(repo)) == b'name:shared'


def cacher(repo: Any, *config: tuple[bytes, bytes]) -> base.Cacher | None:
    for name, value in config:
        repo.ui.setconfig(b'wireprotov2', name, value)
    found = factory.for_repo(repo)
    return None if found is None else found._shared.cacher


def test_no_cacher(repo: Any) -> None:
    assert cacher(repo) is None
    assert cacher(repo, (b'cacher', b'none')) is None


def test_cachers_are_shared_by_configuration(ui: Any, repo: Any) -> None:
    memory = cacher(repo, (b'cacher', b'memory'))
    assert isinstance(memory, MemoryCacher)
    assert cacher(repo) is memory
    assert cacher(repo, (b'cacher.memory.size', b'1 MB')) is not memory
    directory = cacher(repo, (b'cacher', b'directory'))
    assert isinstance(directory, DirectoryCacher)
    assert directory._entries == repo.cachevfs.join(b'wireprotov2/entries')


@pytest.mark.parametrize(
    'config, message',
    [
        ([(b'cacher', b'wrong')], b'unknown cacher: wrong'),
        ([(b'cacher', b'redis')], b'cacher.redis.url is not set'),
        (
            [(b'cacher', b'objectstore')],
            b'cacher.objectstore.url is not set',
        ),
    ],
)
def test_wrong_configuration_is_a_warning(
    repo: Any, config: list[tuple[bytes, bytes]], message: bytes
) -> None:
    for name, value in config:
        repo.ui.setconfig(b'wireprotov2', name, value)
    lines: list[bytes] = []
    assert factory.for_repo(repo, lines.append) is None
    assert len(lines) == 1
    assert message in lines[0] or b'package is missing' in lines[0]


def test_cachers_of_other_distributions(
    repo: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / 'site'
    about = site / 'other-1.dist-info'
    about.mkdir(parents=True)
    (about / 'METADATA').write_text('Name: other\nVersion: 1\n')
    (about / 'entry_points.txt').write_text(
        '[amalgam.cachers]\nmine = amalgam_other_cacher:make\n'
        'broken = amalgam_other_cacher:absent\n'
        'buggy = amalgam_other_cacher:fail\n'
    )
    (site / 'amalgam_other_cacher.py').write_text(
        textwrap.dedent(
            """
            from hgext3rd.wireprotov2.cache.memory import MemoryCacher

            def make(settings):
                made = MemoryCacher(settings.get_size(b'mine.size', 5))
                made.word = settings.get(b'mine.word', b'default')
                made.flag = settings.get_bool(b'mine.flag', True)
                return made

            def fail(settings):
                return 1 / 0
            """
        )
    )
    monkeypatch.syspath_prepend(str(site))
    repo.ui.setconfig(b'wireprotov2', b'cacher.mine.size', b'1 kB')
    made: Any = cacher(repo, (b'cacher', b'mine'))
    assert (made._size, made.word, made.flag) == (1024, b'default', True)
    lines: list[bytes] = []
    repo.ui.setconfig(b'wireprotov2', b'cacher', b'broken')
    assert factory.for_repo(repo, lines.append) is None
    assert b'cannot load cacher broken' in lines[0]
    repo.ui.setconfig(b'wireprotov2', b'cacher', b'buggy')
    assert factory.for_repo(repo, lines.append) is None
    assert b'cannot make cacher buggy: ZeroDivisionError' in lines[1]


def test_replicas_agree_through_the_cache(repo: Any) -> None:
    agreement = CacheAgreement(repo)
    nodes = [bytes([n]) * 20 for n in range(3)]
    agreement.teach(b'02', b'', nodes)
    assert agreement.learn(b'02', b'') is None
    repo.ui.setconfig(b'wireprotov2', b'cacher', b'memory')
    assert agreement.learn(b'02', b'') is None
    agreement.teach(b'02', b'', nodes)
    assert agreement.learn(b'02', b'') == nodes
    assert agreement.learn(b'03', b'') is None
    assert agreement.learn(b'02', b'name') is None
    cache = factory.for_repo(repo)
    assert cache is not None
    for wrong in (b'', b'\xff', b'\x80\x80', b'\x81\x01', b'\x81\x41a'):
        cache.store(agreement._key(b'02', b''), wrong)
        assert not agreement.learn(b'02', b'')
    # Everybody can read a public store, and would learn all names of segments.
    agreement.teach(b'02', b'', nodes)
    repo.ui.setconfig(
        b'wireprotov2', b'cacher.objectstore.public-url', b'https://example/'
    )
    assert agreement.learn(b'02', b'') is None


def test_nothing_is_carried_across_a_fork(repo: Any) -> None:
    first = cacher(repo, (b'cacher', b'memory'))
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        same = cacher(repo) is first
        os.write(writing, b'same' if same else b'new')
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 10) == b'new'
    os.close(reading)
    os.close(writing)
    assert cacher(repo) is first


def test_the_open_segment_is_warmed_with_less_effort(
    ui: Any, repo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cut, 'LEAST_CHANGESETS', 2)
    publish(repo, 2)
    repo.ui.setconfig(b'wireprotov2', b'cacher', b'directory')
    outcome = warm.warm(repo.ui, repo)
    assert (outcome.built, outcome.present) == (2, 0)
    assert outcome.outlines == 2
    history = History(Requester(repo.filtered(b'served')))
    [closed, rest] = history.segments().segments()
    cache = factory.for_repo(repo)
    assert cache is not None

    def has(segment: cut.Segment, quality: int, outline: bool = False) -> bool:
        state = history.key_state(segment.name, outline)
        assert state is not None and cache is not None
        key = cache.key(state)
        assert key is not None
        return cache.has(key, quality)

    assert has(closed, bundle.LEVEL_AHEAD)
    assert has(rest, bundle.LEVEL_OPEN)
    assert not has(rest, bundle.LEVEL_OPEN + 1)
    # Lazy clones find theirs as well.
    assert has(closed, bundle.LEVEL_AHEAD, outline=True)
    assert has(rest, bundle.LEVEL_OPEN, outline=True)
    # What is there is not built again.
    outcome = warm.warm(repo.ui, repo)
    assert (outcome.built, outcome.present) == (0, 2)
    assert (outcome.outlines, outcome.size) == (0, 0)
