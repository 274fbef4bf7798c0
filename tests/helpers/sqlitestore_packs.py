# SPDX-License-Identifier: GPL-2.0-or-later
"""Small histories as packs, applied to a database."""

from __future__ import annotations

import io
import itertools
import os
import pathlib
import random
from typing import Any

import pytest
from helpers import sqlitestore_crashes as crashes
from mercurial import hg, mdiff
from mercurial import ui as uimod
from mercurial.utils import storageutil

from hgext3rd.amalgam.packs import decoder, encoder
from hgext3rd.amalgam.packs.contents import Changesets, Index, PackedFrame
from hgext3rd.amalgam.packs.layout import FILE, MANIFEST, NULL, Revision
from hgext3rd.sqlitestore.formats import frames, statements

NAME = b'f'


def insertion(text: bytes) -> bytes:
    return bytes(mdiff.trivialdiffheader(len(text))) + text


class History:
    """Revisions of files, and the packs that bring them.

    Most tests have the file NAME only.
    """

    def __init__(self, frame_bytes: int = 1 << 20) -> None:
        self.effort = encoder.Effort(
            3, {MANIFEST: frame_bytes, FILE: frame_bytes}
        )
        self.texts: dict[bytes, bytes] = {}
        #: By file and revision: node and parent.
        self.orders: dict[bytes, list[tuple[bytes, bytes]]] = {NAME: []}

    @property
    def order(self) -> list[tuple[bytes, bytes]]:
        """The node and parent of each revision of NAME."""
        return self.orders[NAME]

    def full_text(self, kind: bytes, name: bytes, node: bytes) -> bytes:
        return self.texts[node]

    def raw_size(self, kind: bytes, name: bytes, node: bytes) -> int:
        return len(self.texts[node])

    def is_base(self, kind: bytes, name: bytes, node: bytes) -> bool:
        return True

    def revision(
        self, text: bytes, parent: bytes, base: bytes, name: bytes = NAME
    ) -> Revision:
        """Return a new revision as a delta of ``base``."""
        node = storageutil.hashrevisionsha1(text, parent, NULL)
        delta = insertion(text)
        if base != NULL:
            delta = bytes(mdiff.textdiff(self.texts[base], text))
        self.texts[node] = text
        self.orders.setdefault(name, []).append((node, parent))
        return Revision(node, parent, NULL, NULL, base, delta, 0)

    def pack(
        self,
        revisions: list[Revision],
        others: dict[bytes, list[Revision]] | None = None,
    ) -> bytes:
        """Return a pack with a changeset for each of these revisions.

        ``revisions`` are those of NAME, ``others`` those of other files.
        """
        made = encoder.Encoder(self, self.effort)
        links = []
        lines = {NAME: revisions, **(others or {})}
        for revision in itertools.chain(*lines.values()):
            text = b'%s\nme\n0 0\nf\n\nc' % revision.node.hex().encode()
            link = storageutil.hashrevisionsha1(text, NULL, NULL)
            made.changeset(
                Revision(link, NULL, NULL, link, NULL, insertion(text), 0)
            )
            links.append(link)
        following = iter(links)
        for name, found in lines.items():
            made.begin(FILE, name)
            for revision in found:
                made.revision(revision._replace(link=next(following)))
        made.finish()
        return b''.join(made.take())

    def old(self, texts: list[bytes]) -> bytes:
        """Return a pack of these texts, each a delta of the one before."""
        found = []
        parent = NULL
        for text in texts:
            found.append(self.revision(text, parent, parent))
            parent = found[-1].node
        return self.pack(found)


def apply(repo: Any, pack: bytes) -> None:
    """Store the files of a pack."""
    with repo.lock(), repo.transaction(b'test') as tr:
        sink = repo.pack_sink(tr)
        count = 0
        for event in decoder.Decoder(io.BytesIO(pack)).events():
            if isinstance(event, Changesets):
                count += len(event.texts)
            elif isinstance(event, PackedFrame):
                sink.add_frame(event)
            elif isinstance(event, Index):
                sink.add_index(event, range(count))


def stored_entries(repo: Any) -> list[tuple[bool, bytes]]:
    """Return the entries of all frames: whether it is a text, and the bytes."""
    found = []
    store = repo.unfiltered().sqlitestore
    for (frame_id,) in store.db.rows(statements.SELECT_FRAME_IDS):
        frame: frames.Frame = store.read_frame(frame_id)
        found += [
            (frame.base(n) < 0, frame.entry(n)) for n in range(len(frame))
        ]
    return found


def check(path: bytes, history: History) -> Any:
    """Compare the revisions in the repository with ``history``."""
    repo = open_repo(path)
    for name, order in history.orders.items():
        file = repo.file(name)
        nodes = [file.node(rev) for rev in range(len(file))]
        assert nodes == [node for node, _parent in order]
        for node, parent in order:
            # This compares the text with its node.
            assert file.read(node) == history.texts[node]
            assert file.parents(node) == (parent, NULL)
            assert file.size(file.rev(node)) == len(history.texts[node])
    return repo


def make_repo(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Make an empty repository with a database, and return its path."""
    crashes.configure(
        tmp_path, monkeypatch, b'[storage]\nnew-repo-backend = sqlite\n'
    )
    found = os.fsencode(tmp_path / 'repo')
    code, out = crashes.hg_command(b'init', found)
    assert not code, out
    return found


def open_repo(path: bytes) -> Any:
    return hg.repository(uimod.ui.load(), path)


def again(history: History, numbers: list[int]) -> list[Revision]:
    """Return revisions of another branch: the same texts with one more line.

    Each is a delta of the older revision, not of the one before.
    """
    found = []
    parent = NULL
    for number in numbers:
        base = history.order[number][0]
        text = history.texts[base] + b'branch\n'
        found.append(history.revision(text, parent, base))
        parent = found[-1].node
    return found


def similar_texts(count: int) -> list[bytes]:
    """Return texts of 10 KB that differ in a line each."""
    noise = random.Random(1)
    lines = [b'%032x\n' % noise.getrandbits(128) for _line in range(300)]
    found = []
    for _number in range(count):
        lines[noise.randrange(300)] = b'%032x\n' % noise.getrandbits(128)
        found.append(b''.join(lines))
    return found
