# SPDX-License-Identifier: GPL-2.0-or-later
"""Packs with a few deltas of large older revisions, in a database.

They become rows, so that no frame needs copies of these revisions.
"""

from __future__ import annotations

import pathlib
from io import BytesIO
from typing import Any

import pytest

pytest.importorskip('mercurial')

from helpers.sqlitestore_packs import (
    NAME,
    History,
    again,
    apply,
    check,
    make_repo,
    open_repo,
    similar_texts,
    stored_entries,
)

from hgext3rd.amalgam.packs.contents import PackedFrame, Pieces
from hgext3rd.amalgam.packs.layout import FILE, NULL, Revision
from hgext3rd.sqlitestore.writing import bases, filewriter, packrows

#: Revisions in the first pack.
OLD = 10
#: The first text of another file.
SMALL = b'first\n' * 100


@pytest.fixture
def path(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Return a repository for which texts of 10 KB are large."""
    monkeypatch.setattr(packrows, 'LARGE_BASE', 9000)
    return make_repo(tmp_path, monkeypatch)


@pytest.fixture
def history(path: bytes) -> History:
    """Return a history whose first pack is in the repository."""
    made = History()
    apply(open_repo(path), made.old(similar_texts(OLD)))
    return made


def following(history: History, texts: list[bytes]) -> list[Revision]:
    """Return further revisions, each a delta of the one before."""
    parent = history.order[-1][0]
    found = []
    for text in texts:
        found.append(history.revision(text, parent, parent))
        parent = found[-1].node
    return found


def more(history: History, count: int) -> list[bytes]:
    """Return texts that each have one more line than the one before."""
    text = history.texts[history.order[-1][0]]
    found = []
    for number in range(count):
        text += b'line %d of many\n' % number
        found.append(text)
    return found


def kinds(repo: Any, name: bytes = NAME) -> str:
    """Return a letter for each revision: r for a row, f for a frame."""
    idx = repo.unfiltered().sqlitestore.index(name)
    return ''.join('f' if frame else 'r' for frame in idx.frames)


def full_texts(repo: Any) -> int:
    return sum(full for full, _data in stored_entries(repo))


def test_deltas_of_a_large_revision_become_rows(
    path: bytes, history: History
) -> None:
    before = stored_entries(open_repo(path))
    apply(open_repo(path), history.pack(following(history, more(history, 4))))
    repo = check(path, history)
    assert kinds(repo) == 'f' * OLD + 'rrrr'
    # No copy, and no frame.
    assert stored_entries(repo) == before
    sizes = repo.unfiltered().sqlitestore.index(NAME).stored
    assert 0 < sum(sizes.values()) < 400


def test_many_packs_do_not_multiply_the_texts(
    path: bytes, history: History
) -> None:
    for _time in range(20):
        apply(
            open_repo(path), history.pack(following(history, more(history, 2)))
        )
    repo = check(path, history)
    assert full_texts(repo) == 1
    assert kinds(repo) == 'f' * OLD + 'r' * 40


def test_small_revisions_are_copied(
    path: bytes, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packrows, 'LARGE_BASE', 20_000)
    apply(open_repo(path), history.pack(following(history, more(history, 4))))
    repo = check(path, history)
    assert kinds(repo) == 'f' * (OLD + 4)
    assert full_texts(repo) == 2


def test_deltas_on_branches(path: bytes, history: History) -> None:
    made = again(history, [2, 7, 4])
    # A merge of two of them, and a text that did not change.
    text = history.texts[made[1].node] + b'merged\n'
    merge = history.revision(text, made[0].node, made[1].node)
    same = history.revision(text, merge.node, merge.node)
    apply(open_repo(path), history.pack([*made, merge, same]))
    repo = check(path, history)
    assert kinds(repo) == 'f' * OLD + 'r' * 5


def new_text(history: History) -> list[Revision]:
    """Return a delta, an unrelated text, a delta of each, and of the last."""
    (first,) = following(history, more(history, 1))
    parent = first.node
    text = b''.join(b'%d other\n' % n for n in range(1500))
    other = history.revision(text, parent, NULL)
    second = history.revision(
        history.texts[parent] + b'on the branch\n', parent, parent
    )
    third = history.revision(text + b'more\n', other.node, other.node)
    last = history.revision(
        history.texts[second.node] + b'last\n', second.node, second.node
    )
    return [first, other, second, third, last]


def test_what_does_not_lack_anything_stays_in_the_frame(
    path: bytes, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The other text is larger than the copy would be.
    texts = new_text(history)
    copied = len(history.texts[history.order[0][0]])
    assert len(history.texts[texts[1].node]) > copied
    pack = history.pack(texts)
    apply(open_repo(path), pack)
    assert kinds(check(path, history)) == 'f' * (OLD + 5)


def test_runs_between_rows(
    path: bytes, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = new_text(history)
    short = b'a short text\n' * 10
    other = history.revision(short, texts[0].node, NULL)
    made = [texts[0], other]
    made.append(history.revision(short + b'1\n', other.node, other.node))
    made += following(history, [history.texts[texts[0].node] + b'end\n'])
    base = texts[0].node
    made[-1] = history.revision(history.texts[base] + b'2\n', base, base)
    # Only what is in the pack.
    wanted = {revision.node for revision in made}
    history.orders[NAME] = [
        entry
        for n, entry in enumerate(history.order)
        if n < OLD or entry[0] in wanted
    ]
    apply(open_repo(path), history.pack(made))
    repo = check(path, history)
    assert kinds(repo) == 'f' * OLD + 'rffr'
    assert full_texts(repo) == 2


def with_small_file(history: History, copied: bool) -> bytes:
    """Return a pack with deltas of a large file and revisions of another.

    If ``copied``, the other file needs a copy of an older revision as well.
    """
    name = b'small'
    small = [SMALL + b'%d\n' % n for n in range(3)]
    if copied:
        base = history.orders[name][0][0]
        others = [history.revision(text, base, base, name) for text in small]
    else:
        first = history.revision(small[0], NULL, NULL, name)
        others = [first]
        for text in small[1:]:
            parent = others[-1].node
            others.append(history.revision(text, parent, parent, name))
    return history.pack(following(history, more(history, 3)), {name: others})


def test_other_files_stay_in_the_frame(path: bytes, history: History) -> None:
    apply(open_repo(path), with_small_file(history, False))
    repo = check(path, history)
    assert kinds(repo) == 'f' * OLD + 'rrr'
    assert kinds(repo, b'small') == 'fff'
    assert full_texts(repo) == 2


def test_other_files_get_their_copies(path: bytes, history: History) -> None:
    first = history.revision(SMALL, NULL, NULL, b'small')
    apply(open_repo(path), history.pack([], {b'small': [first]}))
    apply(open_repo(path), with_small_file(history, True))
    repo = check(path, history)
    assert kinds(repo) == 'f' * OLD + 'rrr'
    assert kinds(repo, b'small') == 'ffff'
    assert stored_entries(repo).count((True, SMALL)) == 2


@pytest.mark.parametrize(
    ('module', 'name', 'value', 'later'),
    [
        (bases, 'MAX_ROWS', 6, 'r'),
        (bases, 'MAX_CHAIN_BYTES', 100, 'r'),
        (filewriter, 'LOOSE_ROWS', 3, 'r'),
        (filewriter, 'LOOSE_PART', 200, 'r'),
        (filewriter, 'LARGE_CHUNK', 20, 'f'),
    ],
)
def test_longer_chains_end_with_a_copy(
    path: bytes,
    history: History,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    name: str,
    value: int,
    later: str,
) -> None:
    monkeypatch.setattr(bases, 'BYTES_PER_ROW', 1 << 20)
    monkeypatch.setattr(bases, 'MAX_CHAIN_RATIO', 0)
    for _time in range(2):
        apply(
            open_repo(path), history.pack(following(history, more(history, 3)))
        )
    rows = kinds(check(path, history))
    monkeypatch.setattr(module, name, value)
    apply(open_repo(path), history.pack(following(history, more(history, 4))))
    repo = check(path, history)
    assert kinds(repo) == rows + 'ffff'
    assert full_texts(repo) == 2
    # What follows begins a new chain.
    apply(open_repo(path), history.pack(following(history, more(history, 1))))
    assert kinds(check(path, history))[-1] == later


def test_revisions_that_were_known(path: bytes, history: History) -> None:
    made = following(history, more(history, 4))
    pack = history.pack(made)
    before = stored_entries(open_repo(path))
    apply(open_repo(path), history.pack(made[:2]))
    for _time in range(2):
        apply(open_repo(path), pack)
        repo = check(path, history)
        assert kinds(repo) == 'f' * OLD + 'rrrr'
        assert stored_entries(repo) == before


def test_known_revisions_that_are_censored(
    path: bytes, history: History
) -> None:
    made = following(history, more(history, 4))
    apply(open_repo(path), history.pack(made[:2]))
    repo = open_repo(path)
    with repo.lock(), repo.transaction(b'censor') as tr:
        repo.file(NAME).censorrevision(tr, made[1].node, b'gone')
    apply(open_repo(path), history.pack(made))
    file = open_repo(path).file(NAME)
    assert file.iscensored(OLD + 1)
    # They are deltas of the text that was there.
    assert kinds(open_repo(path))[-2:] == 'ff'
    for revision in made[2:]:
        assert file.read(revision.node) == history.texts[revision.node]


def test_bases_that_no_entry_needs(path: bytes, history: History) -> None:
    store = open_repo(path).unfiltered().sqlitestore
    target = packrows.Target(store.index(NAME), 1, range(1), frozenset())
    frame = PackedFrame(
        FILE,
        0,
        [0],
        [0],
        [0],
        [5],
        [(0, history.order[0][0])],
        Pieces(BytesIO()),
    )
    assert packrows.choose(store, frame, [0], {0: target}) == []


def test_an_abort_leaves_nothing(path: bytes, history: History) -> None:
    before = check(path, history)
    entries = stored_entries(before)
    order = list(history.order)
    pack = history.pack(following(history, more(history, 4)))
    repo = open_repo(path)
    with pytest.raises(RuntimeError), repo.lock():
        with repo.transaction(b'test') as tr:
            apply(repo, pack)
            # A hook in another process sees the rows.
            tr.writepending()
            assert kinds(open_repo(path))
            raise RuntimeError
    history.orders[NAME] = order
    repo = check(path, history)
    assert stored_entries(repo) == entries
    assert not repo.unfiltered().sqlitestore.db.rows('SELECT 1 FROM rev')


def test_censoring_what_rows_are_deltas_of(
    path: bytes, history: History
) -> None:
    apply(open_repo(path), history.pack(following(history, more(history, 3))))
    repo = open_repo(path)
    base = history.order[OLD - 1][0]
    with repo.lock(), repo.transaction(b'censor') as tr:
        repo.file(NAME).censorrevision(tr, base, b'gone')
    file = open_repo(path).file(NAME)
    assert file.iscensored(OLD - 1)
    for node, _parent in history.order:
        if node != base:
            assert file.read(node) == history.texts[node]
