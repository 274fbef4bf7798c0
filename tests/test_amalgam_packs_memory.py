# SPDX-License-Identifier: GPL-2.0-or-later
"""The memory that applying a pack takes, whatever its size."""

from __future__ import annotations

import os
import pathlib
import random
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip('mercurial')

from helpers import sqlitestore_crashes as crashes
from mercurial import hg, mdiff, phases
from mercurial import ui as uimod
from mercurial.utils import storageutil

from hgext3rd.amalgam.packs import decoder, encoder
from hgext3rd.amalgam.packs.layout import FILE, MANIFEST, NULL, Revision
from hgext3rd.wireprotov2.segments import bulkunpacker

#: Revisions of files, and the bytes of each.
COUNT = 60
SIZE = 1 << 20

#: Bytes that applying may take. A frame has four texts of this size, and while
#: it is stored there are copies of it.
MOST = 24 << 20


class NoTexts:
    """An encoder needs no more texts than those that it gets."""

    def full_text(self, kind: bytes, name: bytes, node: bytes) -> bytes:
        raise AssertionError(name)

    def raw_size(self, kind: bytes, name: bytes, node: bytes) -> int:
        raise AssertionError(name)

    def is_base(self, kind: bytes, name: bytes, node: bytes) -> bool:
        return True


def full(text: bytes, p1: bytes, link: bytes) -> Revision:
    """Return a revision as a full text."""
    node = storageutil.hashrevisionsha1(text, p1, NULL)
    delta = bytes(mdiff.trivialdiffheader(len(text))) + text
    return Revision(node, p1, NULL, link or node, NULL, delta, 0)


def texts() -> Iterator[bytes]:
    """Yield the texts of revisions, which no compressor shrinks."""
    random_bytes = random.Random(1).randbytes
    for _number in range(COUNT):
        yield random_bytes(SIZE)


def write_pack(path: pathlib.Path, lines: int) -> None:
    """Write a pack of a changeset for each revision of this many files."""
    per_line = COUNT // lines
    files = []
    parent = NULL
    for number, text in enumerate(texts()):
        if not number % per_line:
            parent = NULL
        parent = full(text, parent, NULL).node
        files.append((b'f%02d' % (number // per_line), parent))
    made = encoder.Encoder(NoTexts(), encoder.Effort(1))
    links = []
    manifests = []
    content: dict[bytes, bytes] = {}
    link = manifest = NULL
    for name, node in files:
        content[name] = node
        text = b''.join(
            b'%s\0%s\n' % (name, node.hex().encode())
            for name, node in sorted(content.items())
        )
        manifests.append(full(text, manifest, b''))
        manifest = manifests[-1].node
        changeset = full(
            b'%s\nme\n0 0\n%s\n\nc' % (manifest.hex().encode(), name), link, b''
        )
        made.changeset(changeset)
        link = changeset.node
        links.append(link)
    made.begin(MANIFEST, b'')
    for link, revision in zip(links, manifests, strict=True):
        made.revision(revision._replace(link=link))
    with path.open('wb') as out:
        for number, text in enumerate(texts()):
            if not number % per_line:
                made.begin(FILE, files[number][0])
                parent = NULL
            revision = full(text, parent, links[number])
            parent = revision.node
            made.revision(revision)
            out.write(b''.join(made.take()))
        made.finish()
        out.write(b''.join(made.take()))


@pytest.fixture(scope='module', params=[COUNT, 1], ids=['files', 'file'])
def pack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> pathlib.Path:
    """Return a pack of many files, or of one with many revisions."""
    path = tmp_path_factory.mktemp('pack') / 'pack'
    write_pack(path, request.param)
    return path


@pytest.mark.parametrize('backend', [b'revlogv1', b'sqlite'])
def test_incompressible_files(
    pack: pathlib.Path,
    backend: bytes,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Data of frames that wait for their index is not in memory."""
    crashes.configure(
        tmp_path, monkeypatch, b'[storage]\nnew-repo-backend = %s\n' % backend
    )
    path = os.fsencode(tmp_path / 'repo')
    code, out = crashes.hg_command(b'init', path)
    assert not code, out
    repo: Any = hg.repository(uimod.ui.load(), path)
    assert bulkunpacker.suitable(repo)
    with (
        pack.open('rb') as stream,
        repo.lock(),
        repo.transaction(b'test') as tr,
    ):
        tracemalloc.start()
        try:
            unpacker = bulkunpacker.BulkUnpacker(
                repo, [decoder.Decoder(stream)]
            )
            unpacker.apply(
                repo,
                tr,
                b'pull',
                b'test',
                targetphase=phases.public,
                expectedtotal=COUNT,
            )
            _now, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < MOST, peak
    code, out = crashes.hg_command(b'-R', path, b'verify', b'-q')
    assert not code, out
    assert unpacker.revisions == COUNT
