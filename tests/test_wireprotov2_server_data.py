# SPDX-License-Identifier: GPL-2.0-or-later
"""Responses of changesetdata, manifestdata and filesdata, against brute force.

A random history has merges, removals, copies, files that come back, and the
same file revision on several branches. For random parts of it, every revision
that the receiver needs must be sent once, with a delta base that the receiver
has.
"""

from __future__ import annotations

import pathlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from helpers.wireprotov2_wsgi import API3, Server, request

from mercurial import context, hg, mdiff, phases  # isort: skip
from mercurial.node import nullid  # isort: skip

PATHS = [b'a', b'b', b'd/c', b'd/e/f', b'g']


class History(Server):
    """A random history of ``SIZE`` changesets."""

    SIZE = 70

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.ui = hg_ui()
        repo = hg.repository(self.ui, bytes(path), create=True)
        self.write('')
        self.nodes = []
        rng = random.Random(5)
        with repo.wlock(), repo.lock(), repo.transaction(b'test'):
            for number in range(self.SIZE):
                self.nodes.append(commit(repo, rng, number, self.nodes))
        self.repo = hg.repository(self.ui, bytes(path))


def hg_ui() -> Any:
    from mercurial import ui

    return ui.ui.load()


def commit(
    repo: Any, rng: random.Random, number: int, nodes: list[bytes]
) -> bytes:
    parents = [nullid, nullid]
    if nodes:
        recent = nodes[-8:]
        parents[0] = rng.choice(recent if rng.random() < 0.9 else nodes)
        if rng.random() < 0.3:
            parents[1] = rng.choice([*recent, nullid])
    if parents[1] == parents[0]:
        parents[1] = nullid
    first = repo[parents[0]].manifest()
    changes: dict[bytes, bytes | None] = {}
    for path in rng.sample(PATHS, rng.randint(0, 3)):
        if path in first and rng.random() < 0.3:
            changes[path] = None
        else:
            # There are few different contents, so branches arrive at the same
            # file revisions.
            changes[path] = b'line\n' * 50 + b'%d\n' % rng.randint(0, 3)
    if parents[1] != nullid:
        second = repo[parents[1]]
        for path in second.manifest():
            if path not in changes and rng.random() < 0.5:
                changes[path] = second[path].data()

    def file(repo: Any, ctx: Any, path: bytes) -> Any:
        data = changes[path]
        if data is None:
            return None
        copied = None
        if path not in first and b'a' in first and number % 2:
            copied = b'a'
        return context.memfilectx(repo, ctx, path, data, copysource=copied)

    node: bytes = context.memctx(
        repo,
        parents,
        b'%d' % number,
        sorted(changes),
        file,
        user=b'test',
        date=b'%d 0' % number,
    ).commit()
    return node


@pytest.fixture(scope='module')
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    with pytest.MonkeyPatch().context() as m:
        m.setenv('HGRCPATH', '')
        m.setenv('HGUSER', 'test')
        yield History(tmp_path_factory.mktemp('history') / 'repo')


@dataclass
class Record:
    """A revision record with its data."""

    fields: dict[bytes, Any]
    data: bytes | None

    @property
    def node(self) -> bytes:
        node: bytes = self.fields[b'node']
        return node


def records(values: Iterator[Any], count: int) -> list[Record]:
    found = []
    for _number in range(count):
        fields = next(values)
        data = None
        for name, size in fields.get(b'fieldsfollowing', []):
            assert name in (b'revision', b'delta')
            assert (name == b'delta') == (b'deltabasenode' in fields)
            data = next(values)
            assert len(data) == size
        found.append(Record(fields, data))
    return found


def texts(
    found: list[Record], store: Any, known: set[bytes]
) -> dict[bytes, bytes]:
    """Apply deltas like a receiver that has ``known``."""
    have: dict[bytes, bytes] = {}
    for record in found:
        base = record.fields.get(b'deltabasenode')
        assert record.data is not None
        if base is None:
            have[record.node] = record.data
            continue
        assert base in have or base in known or base == nullid
        text = have[base] if base in have else store.revision(base)
        have[record.node] = mdiff.patch(text, record.data)
    return have


def parts(history: History) -> Iterator[tuple[set[int], dict[bytes, Any]]]:
    """Yield random parts of the history with the specifiers that name them."""
    cl = history.repo.changelog
    rng = random.Random(7)
    for number in range(25):
        heads = rng.sample(history.nodes, rng.randint(1, 3))
        roots = rng.sample(history.nodes, rng.randint(0, 3))
        if not number:
            heads, roots = list(cl.heads()), []
        revs = cl.findmissingrevs(
            [cl.rev(n) for n in roots] or [-1], [cl.rev(n) for n in heads]
        )
        spec: dict[bytes, Any] = {
            b'type': b'changesetdagrange',
            b'roots': roots,
            b'heads': heads,
        }
        if number % 3 == 2:
            spec = {
                b'type': b'changesetexplicit',
                b'nodes': [cl.node(r) for r in revs],
            }
        yield set(revs), spec


def ancestors(history: History, revs: set[int]) -> set[int]:
    """Return the ancestors of ``revs`` outside of them."""
    cl = history.repo.changelog
    return set(cl.ancestors(revs)) - revs


@pytest.mark.parametrize('haveparents', [True, False])
def test_filesdata(history: History, haveparents: bool) -> None:
    repo = history.repo
    clnode = repo.changelog.node
    manifests = [dict(repo[r].manifest().items()) for r in range(len(repo))]
    for revs, spec in parts(history):
        values = iter(
            history.result(
                'filesdata',
                {
                    b'revisions': [spec],
                    b'haveparents': haveparents,
                    b'fields': [b'parents', b'revision', b'linknode'],
                },
            )
        )
        outside = ancestors(history, revs)
        has: dict[tuple[bytes, bytes], int] = {}
        for rev in sorted(revs):
            for item in manifests[rev].items():
                has.setdefault(item, rev)
        known = {item for rev in outside for item in manifests[rev].items()}
        header = next(values)
        sent = set()
        paths = []
        for _number in range(header[b'totalpaths']):
            start = next(values)
            path = start[b'path']
            paths.append(path)
            found = records(values, start[b'totalitems'])
            store = repo.file(path)
            have = texts(
                found,
                store,
                {n for p, n in known if p == path} if haveparents else set(),
            )
            for record in found:
                item = (path, record.node)
                assert item not in sent
                sent.add(item)
                assert have[record.node] == store.revision(record.node)
                parents = record.fields[b'parents']
                assert tuple(parents) == store.parents(record.node)
                if not haveparents or item not in known:
                    assert record.fields[b'linknode'] == clnode(has[item])
        assert next(values, None) is None
        assert paths == sorted(paths)
        assert header[b'totalitems'] == len(sent)
        assert sent <= set(has)
        if haveparents:
            assert set(has) - known <= sent
        else:
            assert set(has) == sent


@pytest.mark.parametrize('haveparents', [True, False])
def test_manifestdata_of_changesets(
    history: History, haveparents: bool
) -> None:
    repo = history.repo
    cl = repo.changelog
    store = repo.manifestlog.getstorage(b'')
    node_of = [cl.changelogrevision(r).manifest for r in range(len(repo))]
    for revs, spec in parts(history):
        args = {
            b'nodes': [],
            b'tree': b'',
            b'revisions': [spec],
            b'haveparents': haveparents,
            b'fields': [b'parents', b'revision', b'linknode'],
        }
        values = iter(history.result('manifestdata', args))
        found = records(values, next(values)[b'totalitems'])
        assert next(values, None) is None
        known = {node_of[r] for r in ancestors(history, revs)}
        wanted = {node_of[r] for r in revs} - {nullid}
        sent = [record.node for record in found]
        assert len(set(sent)) == len(sent)
        assert set(sent) <= wanted
        assert wanted - (known if haveparents else set()) <= set(sent)
        have = texts(found, store, known if haveparents else set())
        for record in found:
            assert have[record.node] == store.revision(record.node)
            if record.node not in known:
                first = min(r for r in revs if node_of[r] == record.node)
                assert record.fields[b'linknode'] == cl.node(first)


def test_changesetdata(history: History) -> None:
    cl = history.repo.changelog
    for revs, spec in parts(history):
        args = {
            b'revisions': [spec],
            b'fields': [b'parents', b'revision', b'phase', b'bookmarks'],
        }
        values = iter(history.result('changesetdata', args))
        found = records(values, next(values)[b'totalitems'])
        assert next(values, None) is None
        assert [r.node for r in found] == [cl.node(r) for r in sorted(revs)]
        for record in found:
            assert record.data == cl.revision(record.node)
            assert tuple(record.fields[b'parents']) == cl.parents(record.node)
            assert record.fields[b'phase'] == b'draft'


def test_depth(history: History) -> None:
    repo = history.repo
    cl = repo.changelog
    head = history.nodes[-1]
    for depth in (1, 2, 5, 1000):
        spec = {
            b'type': b'changesetexplicitdepth',
            b'nodes': [head],
            b'depth': depth,
        }
        values = history.result('changesetdata', {b'revisions': [spec]})
        nodes = [v[b'node'] for v in values[1:]]
        level = wanted = {cl.rev(head)}
        for _number in range(depth - 1):
            level = {p for r in level for p in cl.parentrevs(r) if p >= 0}
            wanted = wanted | level
        assert nodes == [cl.node(r) for r in sorted(wanted)]
        # The same with the arguments of API 0002.
        body = request(
            b'changesetdata', {b'nodes': [head], b'nodesdepth': depth}
        )
        path = '/api/exp-http-v2-0002/ro/changesetdata'
        answer = history.call(path, body).values[1][2:]
        assert [v[b'node'] for v in answer] == nodes


def test_arguments_of_api_0002(history: History) -> None:
    path = '/api/exp-http-v2-0002/ro/changesetdata'

    def nodes(**args: Any) -> Any:
        body = request(
            b'changesetdata', {k.encode(): v for k, v in args.items()}
        )
        answer = history.call(path, body)
        if answer.error is not None:
            return answer.error
        return [v[b'node'] for v in answer.values[1][2:]]

    for revs, spec in parts(history):
        if b'roots' in spec:
            found = nodes(noderange=[spec[b'roots'], spec[b'heads']])
            cl = history.repo.changelog
            assert found == [cl.node(r) for r in sorted(revs)]
    few = [history.nodes[9], history.nodes[3]]
    assert nodes(nodes=few) == few
    both = nodes(nodes=few, noderange=[[], [history.nodes[3]]])
    assert both[:2] == few
    assert len(set(both)) == len(both)
    for args, message in (
        ({}, b'noderange or nodes must be defined'),
        ({'nodesdepth': 5}, b'noderange or nodes must be defined'),
        ({'noderange': [[]]}, b'noderange must consist of 2 elements'),
        ({'noderange': [[], []]}, b'heads in noderange request cannot be'),
        ({'noderange': [5, []]}, b'noderange must be a list'),
        (
            {'noderange': [[], few], 'nodesdepth': 5},
            b'nodesdepth requires nodes',
        ),
        ({'nodes': few, 'nodesdepth': -1}, b'nodesdepth must be'),
    ):
        assert nodes(**args).startswith(message)


def test_path_filters(history: History) -> None:
    spec = {
        b'type': b'changesetdagrange',
        b'roots': [],
        b'heads': list(history.repo.changelog.heads()),
    }

    def paths(**filters: list[bytes]) -> list[bytes]:
        args = {
            b'revisions': [spec],
            b'pathfilter': {k.encode(): v for k, v in filters.items()},
        }
        values = history.result('filesdata', args)
        return [v[b'path'] for v in values if b'path' in v]

    assert paths() == PATHS
    assert paths(include=[b'path:d']) == [b'd/c', b'd/e/f']
    assert paths(include=[b'rootfilesin:d']) == [b'd/c']
    assert paths(include=[b'path:a', b'path:g']) == [b'a', b'g']
    assert paths(exclude=[b'path:d/e', b'path:a']) == [b'b', b'd/c', b'g']
    assert paths(include=[b'path:d'], exclude=[b'path:d/c']) == [b'd/e/f']
    assert paths(include=[b'path:none']) == []


def test_bookmarks(history: History) -> None:
    marks = {b'one': history.nodes[3], b'two': history.nodes[3]}
    marks[b'elsewhere'] = history.nodes[9]
    repo = hg.repository(history.ui, bytes(history.path))
    with repo.wlock(), repo.lock(), repo.transaction(b'marks') as tr:
        repo._bookmarks.applychanges(repo, tr, list(marks.items()))
    history.write('')
    spec = {b'type': b'changesetexplicit', b'nodes': [history.nodes[3]]}
    args = {b'revisions': [spec], b'fields': [b'bookmarks']}
    assert history.result('changesetdata', args) == [
        {b'totalitems': 1},
        {b'node': history.nodes[3], b'bookmarks': [b'one', b'two']},
        {b'node': history.nodes[9], b'bookmarks': [b'elsewhere']},
    ]


def test_everything_again_from_a_cache(history: History) -> None:
    history.write('[wireprotov2]\ncacher = memory\n')
    spec = {
        b'type': b'changesetdagrange',
        b'roots': [],
        b'heads': list(history.repo.changelog.heads()),
    }
    args = {b'revisions': [spec], b'fields': [b'parents', b'revision']}
    for command in ('changesetdata', 'filesdata'):
        path = f'{API3}ro/{command}'
        body = request(command.encode(), args)
        first = history.call(path, body).body
        assert history.call(path, body).body == first
    history.write('')


def test_manifests_of_directories(tmp_path: pathlib.Path) -> None:
    path = tmp_path / 'repo'
    ui = hg_ui()
    ui.setconfig(b'experimental', b'treemanifest', b'yes', b'test')
    repo = hg.repository(ui, bytes(path), create=True)
    server = Server.__new__(Server)
    server.path, server.ui = path, ui
    server.write('')

    def change(
        name: bytes, text: bytes, parent: bytes, message: bytes = b'x'
    ) -> bytes:
        def file(repo: Any, ctx: Any, path: bytes) -> Any:
            return context.memfilectx(repo, ctx, path, text)

        node: bytes = context.memctx(
            repo, (parent, nullid), message, [name], file, user=b'test'
        ).commit()
        return node

    one = change(b'd/e/f', b'1', nullid)
    two = change(b'd/g', b'2', one)
    secret = change(b'd/e/f', b'3', two)
    with repo.lock(), repo.transaction(b'phase') as tr:
        phases.retractboundary(repo, tr, phases.secret, [secret])
    repo = hg.repository(ui, bytes(path))
    logs = {t: repo.manifestlog.getstorage(t) for t in (b'', b'd/', b'd/e/')}
    assert [len(log) for log in logs.values()] == [3, 3, 2]
    for tree, log in logs.items():
        visible = [log.node(r) for r in range(len(log) - 1)]
        args = {
            b'tree': tree,
            b'nodes': visible,
            b'fields': [b'revision', b'linknode'],
        }
        answer = iter(server.result('manifestdata', args))
        found = records(answer, next(answer)[b'totalitems'])
        assert [r.node for r in found] == visible
        have = texts(found, log, set())
        for record, changeset in zip(found, (one, two), strict=False):
            assert have[record.node] == log.revision(record.node)
            assert record.fields[b'linknode'] == changeset
        args[b'nodes'] = [log.node(len(log) - 1)]
        error = server.command('manifestdata', args).error
        assert error is not None and error.startswith(b'unknown node')
    # This visible changeset has the same directory as the secret one.
    repo = hg.repository(ui, bytes(path))
    three = change(b'd/e/f', b'3', two, b'again')
    server.write('')
    node = logs[b'd/e/'].node(1)
    args = {b'tree': b'd/e/', b'nodes': [node], b'fields': [b'linknode']}
    values = server.result('manifestdata', args)
    assert values[1] == {b'node': node, b'linknode': three}
    error = server.command(
        'manifestdata', {b'tree': b'none/', b'nodes': [node]}
    ).error
    assert error is not None and error.startswith(b'unknown node')
