# SPDX-License-Identifier: GPL-2.0-or-later
"""Clones of limited depth whose servers' histories grow at random.

The histories have changesets based on others that lack files in the clone,
merges and renames of these files, and files that get back an old content. After
each step the clone is compared with the server. ``AMALGAM_HISTORIES`` is the
number of histories, ``AMALGAM_SEED`` the seed of the first one.
"""

from __future__ import annotations

import os
import pathlib
import random
from typing import Any

import pytest
from helpers import wireprotov2_conversation as conversation
from helpers.wireprotov2_conversation import ERRORS, URL, check, open_repo, run
from mercurial import commands, context, filelog, localrepo, match, revlogutils
from mercurial.node import nullrev

from hgext3rd.wireprotov2 import compat, requirements
from hgext3rd.wireprotov2.shallow import absence, demand, prefetch, storage
from hgext3rd.wireprotov2.shallow import extent as shallow_extent

HISTORIES = int(os.environ.get('AMALGAM_HISTORIES', '6'))
SEED = int(os.environ.get('AMALGAM_SEED', '0'))

PATHS = [b'a', b'b', b'd/a', b'd/b', b'e']
FLAGS = [b'', b'', b'', b'x', b'l']

# The text and the flags of each path.
Tree = dict[bytes, tuple[bytes, bytes]]


class Grower:
    """Adds random changesets to a repository."""

    def __init__(self, repo: Any, rng: random.Random) -> None:
        self.repo = repo
        self.rng = rng
        self._texts: list[bytes] = []

    def _tree(self, rev: int) -> Tree:
        ctx = self.repo[rev]
        return {path: (ctx[path].data(), ctx[path].flags()) for path in ctx}

    def _parents(self) -> list[int]:
        count = len(self.repo)
        if not count or self.rng.random() < 0.03:
            return [nullrev]
        recent = self.repo.changelog.headrevs()
        anywhere = self.rng.randrange(count)
        p1 = self.rng.choice([count - 1, count - 1, *recent, anywhere])
        if self.rng.random() < 0.3:
            p2 = self.rng.choice([*recent, anywhere])
            # A changeset cannot be merged with its ancestor.
            if not self.repo.changelog.isancestorrev(
                p2, p1
            ) and not self.repo.changelog.isancestorrev(p1, p2):
                return [p1, p2]
        return [p1]

    def _text(self, old: bytes) -> bytes:
        if self._texts and self.rng.random() < 0.3:
            # A text that some file has had before.
            return self.rng.choice(self._texts)
        lines = old.splitlines(True) or [b'%d\n' % i for i in range(20)]
        line = b'%d\n' % self.rng.randrange(1000)
        lines[self.rng.randrange(len(lines))] = line
        return b''.join(lines)

    def add(self, parents: list[int] | None = None) -> None:
        rng = self.rng
        parents = parents or self._parents()
        trees = [self._tree(parent) for parent in parents]
        tree = dict(trees[0])
        if len(trees) == 2:
            for path in sorted({*trees[0], *trees[1]}):
                chosen = rng.choice(trees)
                tree.pop(path, None)
                if path in chosen:
                    tree[path] = chosen[path]
        sources = {}
        for _index in range(rng.randrange(1, 3)):
            path = rng.choice(PATHS)
            chance = rng.random()
            if chance < 0.2:
                tree.pop(path, None)
            elif chance < 0.4 and trees[0]:
                source = rng.choice(sorted(trees[0]))
                tree[path] = trees[0][source]
                if source != path:
                    sources[path] = source
                    tree.pop(source, None)
            else:
                text, flags = tree.get(path, (b'', b''))
                tree[path] = self._text(text), rng.choice([flags, *FLAGS])
                self._texts.append(tree[path][0])
        files = sorted(
            path
            for path in {*trees[0], *tree}
            if trees[0].get(path) != tree.get(path) or path in sources
        )

        def get(repo: Any, ctx: Any, path: bytes) -> Any:
            if path not in tree:
                return None
            text, flags = tree[path]
            return context.memfilectx(
                repo,
                ctx,
                path,
                text,
                islink=flags == b'l',
                isexec=flags == b'x',
                copysource=sources.get(path),
            )

        nodes = [self.repo[parent].node() for parent in parents]
        context.memctx(
            self.repo,
            [*nodes, self.repo.nullid][:2],
            b'r%d' % len(self.repo),
            files,
            get,
            user=b'test',
            date=(len(self.repo), 0),
        ).commit()

    def grow(self, count: int) -> None:
        with self.repo.wlock(), self.repo.lock():
            for _index in range(count):
                self.add()


def parents(filelog: Any, node: bytes) -> list[bytes]:
    found = list(filelog.parents(node))
    if not hasattr(revlogutils, 'InboundRevision'):
        # hg <= 7.0 swaps the parents of some incoming revisions.
        found.sort()
    return found


def compare(server: Any, repo: Any) -> int:
    """Compare a clone with its server; return how many revisions lack data."""
    assert check(repo) == len(repo)
    extent = shallow_extent.read(repo)
    if not absence.is_shallow(repo):
        # Nothing is missing any more.
        extent = shallow_extent.Extent()
    assert extent is not None
    lacking = 0
    for rev in repo:
        ctx = repo[rev]
        if ctx.node() not in server:
            continue
        theirs = server[ctx.node()]
        assert ctx.manifestnode() == theirs.manifestnode()
        missing = 0
        for path in ctx:
            filelog = repo.file(path)
            node = ctx.filenode(path)
            their_log = server.file(path)
            assert parents(filelog, node) == parents(their_log, node)
            # The link may be any of the changesets that have this revision.
            link = repo[filelog.linkrev(filelog.rev(node))]
            assert link.filenode(path) == node
            try:
                text = filelog.read(node)
            except demand.MissingFileData:
                missing += 1
                continue
            assert text == their_log.read(node)
            assert filelog.renamed(node) == their_log.renamed(node)
        assert not (missing and rev not in extent), rev
        # Commands that need missing data are refused before they begin.
        everything = [(rev, match.always())]
        if missing:
            with pytest.raises(demand.MissingFileData):
                prefetch.files(repo, everything)
        else:
            prefetch.files(repo, everything)
        lacking += missing
    return lacking


class Clone:
    """A clone of limited depth and the pulls into it."""

    def __init__(self, path: pathlib.Path, depth: int, sqlite: bool) -> None:
        settings = {b'wireprotov2.on-demand': b'no'}
        if sqlite:
            settings |= {
                b'extensions.sqlitestore': b'',
                b'storage.new-repo-backend': b'sqlite',
            }
        self.path = path
        self.ui = conversation.make_ui(settings)
        compat.clone_module().clone(
            self.ui,
            {},
            URL,
            dest=os.fsencode(path),
            pull=True,
            update=False,
            depth=b'%d' % depth,
        )

    @property
    def repo(self) -> Any:
        return open_repo(self.ui, self.path)

    def pull(self, *sources: bytes, **opts: Any) -> BaseException | None:
        repo = self.repo
        repo.ui.pushbuffer(error=True)
        try:
            run(b'pull', repo, *sources, **opts)
        except ERRORS as exc:
            return exc
        finally:
            repo.ui.popbuffer()
        return None


def complete(repo: Any) -> list[int]:
    """Return the changesets that have the data of all their files."""
    if not absence.is_shallow(repo):
        return list(repo)
    extent = shallow_extent.read(repo)
    assert extent is not None
    return [rev for rev in repo if rev not in extent]


@pytest.mark.parametrize('seed', range(SEED, SEED + HISTORIES))
def test_clone_follows_a_random_history(
    seed: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    path = tmp_path / 'server'
    ui = conversation.make_ui()
    server = localrepo.instance(ui, os.fsencode(path), True)
    (path / '.hg' / 'hgrc').write_text(
        '[extensions]\nwireprotov2 =\n[phases]\npublish = no\n'
    )
    grower = Grower(server, rng)
    grower.grow(rng.randrange(1, 30))
    wire = conversation.connect(monkeypatch, path)
    wire.live = True
    depth = rng.choice([1, 1, 2, 5])
    clone = Clone(tmp_path / 'clone', depth, bool(seed % 2))
    compare(server, clone.repo)
    for _index in range(5):
        server.invalidateall()
        what = rng.randrange(5)
        if what:
            grower.grow(rng.randrange(1, 8))
        if what == 1:
            # A pull without version 2 fails if it needs missing data.
            before = len(clone.repo)
            failed = clone.pull(os.fsencode(path))
            if failed is not None:
                assert isinstance(failed, demand.MissingFileData), failed
                assert len(clone.repo) == before
        elif what == 2:
            # The connection breaks. A later pull fetches what is missing.
            wire.restart()
            wire.limit = rng.randrange(20000)
            clone.pull()
            wire.restart()
        elif what == 3:
            local = Grower(clone.repo, rng)
            with local.repo.wlock(), local.repo.lock():
                local.add([rng.choice(complete(local.repo))])
        lacking = compare(server, clone.repo)
        failed = clone.pull()
        assert failed is None, failed
        compare(server, clone.repo)
        if absence.is_shallow(clone.repo):
            extent = shallow_extent.read(clone.repo)
            assert extent is not None and not extent.pending
        if what == 4:
            failed = clone.pull(depth=b'%d' % rng.randrange(1, 12))
            assert failed is None, failed
            assert compare(server, clone.repo) <= lacking
    failed = clone.pull(depth=b'1000')
    assert failed is None, failed
    assert compare(server, clone.repo) == 0
    assert not absence.is_shallow(clone.repo)
    assert requirements.SHALLOW not in clone.repo.requirements
    check(clone.repo)


@pytest.mark.parametrize('damage', [b'', b'-xyz\n', b'-12\n', b'\0\xff'])
def test_pull_with_a_damaged_record_of_missing_files(
    damage: bytes, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, path = new_server(tmp_path)
    grower = Grower(server, random.Random(1))
    grower.grow(12)
    conversation.connect(monkeypatch, path).live = True
    clone = Clone(tmp_path / 'clone', 2, sqlite=False)
    lacking = compare(server, clone.repo)
    assert lacking
    limits = clone.path / '.hg' / 'store' / 'shallow' / 'limits'
    limits.write_bytes(damage)
    assert shallow_extent.read(clone.repo) is None
    grower.grow(3)
    assert clone.pull() is None
    assert compare(server, clone.repo) <= lacking


def test_changeset_on_top_of_a_reused_file(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, path = new_server(tmp_path)

    def commit(**files: str | None) -> None:
        for name, text in files.items():
            if text is None:
                (path / name).unlink()
            else:
                (path / name).write_text(text)
        commands.commit(
            server.ui, server, addremove=True, message=b'm', date=b'0 0'
        )

    commit(old='text', other='0')
    commit(old=None)
    commit(other='1')
    conversation.connect(monkeypatch, path).live = True
    clone = Clone(tmp_path / 'clone', 1, sqlite=False)
    commit(old='text')
    commit(other='2')
    # The clone knows the revision of the file, so the pull does not bring it.
    assert clone.pull(os.fsencode(path)) is None
    compare(server, clone.repo)
    assert complete(clone.repo) == [2]
    assert clone.pull() is None
    compare(server, clone.repo)
    assert complete(clone.repo) == [2, 3, 4]


def forbid_opening_while_adding(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Fail if a file is opened a second time while revisions are added to it.

    Parts of them are on disk then, so that the file may not be a valid revlog.
    Return the list of the files that were added to.
    """
    adding: list[bytes] = []
    added: list[bytes] = []
    addgroup = filelog.filelog.addgroup
    guarded = storage.guarded

    def watched_addgroup(self: Any, *args: Any, **kwargs: Any) -> Any:
        adding.append(self._revlog.target[1])
        try:
            return addgroup(self, *args, **kwargs)
        finally:
            added.append(adding.pop())

    def watched_guarded(repo: Any, opened: Any) -> Any:
        assert opened._revlog.target[1] not in adding
        return guarded(repo, opened)

    monkeypatch.setattr(filelog.filelog, 'addgroup', watched_addgroup)
    monkeypatch.setattr(storage, 'guarded', watched_guarded)
    return added


def commit_texts(server: Any, parent: int, texts: dict[bytes, bytes]) -> None:
    def get(repo: Any, ctx: Any, path: bytes) -> Any:
        return context.memfilectx(repo, ctx, path, texts[path])

    context.memctx(
        server,
        [server[parent].node(), server.nullid],
        b'm',
        sorted(texts),
        get,
        user=b'test',
        date=(len(server), 0),
    ).commit()


def new_server(tmp_path: pathlib.Path) -> tuple[Any, pathlib.Path]:
    """Return an empty repository to serve, and where it is."""
    path = tmp_path / 'server'
    server = localrepo.instance(conversation.make_ui(), os.fsencode(path), True)
    (path / '.hg' / 'hgrc').write_text('[extensions]\nwireprotov2 =\n')
    return server, path


@pytest.mark.parametrize('sqlite', [False, True])
def test_clone_with_deltas_to_files_that_are_being_written(
    sqlite: bool, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, path = new_server(tmp_path)
    rng = random.Random(1)
    names = [b'%d' % number for number in range(12)]
    # Larger than a chunk of the bundle, so that the delta comes after it.
    large = {name: rng.randbytes(5000) * 14 for name in names}
    with server.wlock(), server.lock():
        for number in range(3):
            # The clone has these without data.
            commit_texts(
                server, len(server) - 1, dict.fromkeys(names, b'%d' % number)
            )
        commit_texts(server, len(server) - 1, large)
        for name in names:
            large[name] += b'more'
        commit_texts(server, len(server) - 1, large)
    conversation.connect(monkeypatch, path)
    added = forbid_opening_while_adding(monkeypatch)
    clone = Clone(tmp_path / 'clone', 2, sqlite)
    assert sorted(added) == sorted(names)
    assert check(clone.repo) == len(server)
    for name in names:
        for rev in range(len(server) - 2, len(server)):
            assert clone.repo[rev][name].data() == server[rev][name].data()


@pytest.mark.parametrize('sqlite', [False, True])
def test_pull_of_deltas_to_missing_data_into_files_that_are_being_written(
    sqlite: bool, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, path = new_server(tmp_path)
    rng = random.Random(1)
    names = [b'%d' % number for number in range(40)]

    def texts() -> dict[bytes, bytes]:
        return {name: rng.randbytes(8150) for name in names}

    first = texts()
    commit_texts(server, nullrev, first)
    commit_texts(server, 0, texts())
    wire = conversation.connect(monkeypatch, path)
    clone = Clone(tmp_path / 'clone', 1, sqlite)
    lacking = compare(server, clone.repo)
    assert lacking == len(names)
    commit_texts(server, 1, texts())
    # On a branch of its own, based on what the clone lacks.
    commit_texts(server, 0, {name: first[name] + b'more' for name in names})
    added = forbid_opening_while_adding(monkeypatch)
    # Without version 2, there is no way to get the texts.
    failed = clone.pull(os.fsencode(path))
    assert isinstance(failed, demand.MissingFileData), failed
    assert check(clone.repo) == 2
    wire.live = True
    requests = len(wire.requests)
    failed = clone.pull()
    assert failed is None, failed
    assert set(added) == set(names)
    assert sum('/filedata' in name for name in wire.requests[requests:]) == len(
        names
    )
    assert compare(server, clone.repo) == lacking
