# SPDX-License-Identifier: GPL-2.0-or-later
"""Changegroups hold what Mercurial's own function would put into them."""

from __future__ import annotations

import os
import pathlib
import random
from typing import Any

import pytest
from helpers import wireprotov2_conversation as conversation
from helpers.packs import STORAGES, make_history
from mercurial import error, mdiff, revlog

from hgext3rd.sqlitestore.reading import storeddeltas
from hgext3rd.sqlitestore.revlogs import emission

pytestmark = pytest.mark.skipif(
    emission.OUTBOUND is None, reason='Mercurial emits revisions itself'
)

TOTAL = 60
PATHS = [b'a', b'd/b', b'f', b'log']


@pytest.fixture(params=['fresh', 'repacked', 'tight'])
def repo(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Any:
    path = tmp_path / 'repo'
    repo = make_history(path, 7, TOTAL, STORAGES['sqlite'])
    if request.param != 'fresh':
        conversation.run(
            b'admin::sqlite-repack', repo, max=request.param == 'tight'
        )
    return conversation.open_repo(repo.ui, path)


def logs(repo: Any) -> list[Any]:
    return [
        *(repo.file(path).get_revlog() for path in PATHS),
        repo.manifestlog.getstorage(b'').get_revlog(),
    ]


def fields(revision: Any) -> list[Any]:
    return [getattr(revision, name) for name in revision.__slots__[:-1]]


def compare(log: Any, nodes: list[bytes], have: bool) -> list[Any]:
    """Compare with Mercurial's function; return what is emitted."""
    arguments: Any = {
        'nodesorder': b'storage',
        'revisiondata': True,
        'assumehaveparentrevisions': have,
    }
    ours = list(log.emitrevisions(nodes, **arguments))
    theirs = list(log._emit_revisions(nodes, **arguments))
    assert list(map(fields, ours)) == list(map(fields, theirs))
    assert all(type(found) is revlog.OutboundRevision for found in ours)
    return ours


@pytest.mark.parametrize('have', [False, True])
def test_same_as_mercurial(
    repo: Any, have: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = random.Random(2)
    for limit in (storeddeltas.INVERSE_BYTES, 100):
        monkeypatch.setattr(storeddeltas, 'INVERSE_BYTES', limit)
        for log in logs(repo):
            nodes = list(map(log.node, log))
            for part in (
                nodes,
                nodes[len(nodes) // 2 :],
                noise.sample(nodes, len(nodes) // 2),
                nodes[-1:],
            ):
                compare(log, part, have)
                log.clearcaches()


def test_deltas_apply(repo: Any) -> None:
    for log in logs(repo):
        texts = {log.nullid: b''}
        for found in compare(log, list(map(log.node, log)), True):
            text = found.revision
            if text is None:
                text = texts[found.basenode]
                if found.delta:
                    text = bytes(mdiff.patches(text, [found.delta]))
            texts[found.node] = text
            assert text == log.rawdata(found.node)
        assert len(texts) == len(log) + 1


@pytest.mark.parametrize('have', [False, True])
def test_censored_revision(repo: Any, have: bool) -> None:
    storage = repo.file(b'log')
    node = storage.node(len(storage) // 2)
    with repo.lock(), repo.transaction(b'censor') as tr:
        storage.censorrevision(tr, [node], b'gone')
    repo = conversation.open_repo(repo.ui, pathlib.Path(os.fsdecode(repo.root)))
    log = repo.file(b'log').get_revlog()
    with pytest.raises(error.CensoredNodeError):
        log.revision(node)
    nodes = list(map(log.node, log))
    for part in (nodes, nodes[len(nodes) // 2 + 1 :]):
        for found in compare(log, part, have):
            assert found.basenode != node
            if found.node == node:
                assert b'gone' in found.revision
            log.clearcaches()


def test_unknown_node(repo: Any) -> None:
    with pytest.raises(error.LookupError):
        list(repo.file(b'log').emitrevisions([b'\1' * 20], revisiondata=True))
