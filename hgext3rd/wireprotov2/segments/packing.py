# SPDX-License-Identifier: GPL-2.0-or-later
"""Making the pack of a segment from storage, or from a changegroup.

Where nothing before the end of a segment is hidden, secret or sent later, its
revisions are those of storage. Otherwise, and for tree manifests, Mercurial
makes a changegroup and so decides what is in the pack.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from mercurial.node import bin
from mercurial.revlogutils.constants import (
    REVIDX_ISCENSORED,
    REVIDX_RAWTEXT_CHANGING_FLAGS,
)
from mercurial.utils import storageutil

from ...amalgam.codecs import deltas
from ...amalgam.packs import encoder, layout
from ...amalgam.packs.errors import PackError
from . import stored
from .chunkreader import ChunkReader

#: Bytes of a delta header by version (mercurial.changegroup): the node, two
#: parents, the delta base, the changeset; 03 has 16 bits of flags after them.
_HEADERS = {b'02': 100, b'03': 102}

#: What the text of a file with metadata begins with.
_METADATA = b'\1\n'


def packable(version: bytes) -> bool:
    """Return whether changegroups of ``version`` can become packs."""
    return version in _HEADERS


def pack(
    made: encoder.Encoder,
    version: bytes,
    chunks: Iterable[bytes],
    outline: bool = False,
) -> Iterator[bytes]:
    """Yield the pack that ``made`` makes of a changegroup of ``version``.

    ``chunks`` are its bytes, in chunks of any size. An ``outline`` has files
    without their data. Raises ``PackError`` if they are no such changegroup.
    """
    reader = ChunkReader(chunks)
    header = _HEADERS[version]
    for revision in _group(reader, header):
        made.changeset(revision)
        yield from made.take()
    made.begin(layout.MANIFEST, b'')
    for revision in _group(reader, header):
        made.revision(revision)
        yield from made.take()
    kinds = [layout.FILE]
    if version == b'03':
        kinds.insert(0, layout.MANIFEST)
    for kind in kinds:
        while name := _chunk(reader):
            made.begin(kind, name)
            for revision in _group(reader, header):
                if version == b'02':
                    revision = _with_censor_flag(revision)
                if outline and kind == layout.FILE and not name.endswith(b'/'):
                    made.stored_revision(
                        stored.emptied(*revision[:3], revision.link)
                    )
                else:
                    made.revision(revision)
                yield from made.take()
    if reader.more():
        raise PackError('bytes follow the changegroup')
    made.finish()
    yield from made.take()


def pack_stored(
    made: encoder.Encoder,
    repo: Any,
    first: int,
    stop: int,
    outline: bool = False,
) -> Iterator[bytes]:
    """Yield the pack that ``made`` makes of the changesets ``first`` to ``stop``.

    All changesets before ``stop`` are for everybody, and the receiver has those
    before ``first``. So all revisions that belong to the changesets are in the
    pack: none of them came first with a changeset that is not for everybody or
    is sent later. An ``outline`` has files without their data.
    """
    links: list[bytes] = []
    manifests: dict[bytes, None] = {}
    changed: set[bytes] = set()
    for changeset in stored.changesets(repo, range(first, stop)):
        made.stored_changeset(*changeset)
        yield from made.take()
        links.append(changeset.node)
        lines = changeset.text.partition(b'\n\n')[0].split(b'\n')
        manifests[bin(lines[0])] = None
        changed.update(lines[3:])
    manifests.pop(layout.NULL, None)
    made.begin(layout.MANIFEST, b'')
    storage = repo.manifestlog.getstorage(b'')
    for revision in stored.revisions(storage, manifests, first, links):
        made.stored_revision(revision)
        yield from made.take()
    found = made.derivation
    read = stored.outlines if outline else stored.revisions
    for path in sorted(changed.intersection(found.paths())):
        made.begin(layout.FILE, path)
        nodes = found.nodes(path)
        storage = repo.file(path)
        for revision in read(storage, nodes, first, links):
            made.stored_revision(revision)
        yield from made.take()
    made.finish()
    yield from made.take()


def _chunk(reader: ChunkReader) -> bytes:
    """Return the next chunk, b'' at the end of a group."""
    size = int.from_bytes(reader.read(4), 'big')
    if 0 < size < 5:
        raise PackError('bad length of a chunk')
    return reader.read(size - 4) if size else b''


def _group(reader: ChunkReader, header: int) -> Iterator[layout.Revision]:
    """Yield the revisions of a group."""
    while chunk := _chunk(reader):
        if len(chunk) < header:
            raise PackError('a chunk is shorter than its header')
        yield layout.Revision(
            node=chunk[:20],
            p1=chunk[20:40],
            p2=chunk[40:60],
            base=chunk[60:80],
            link=chunk[80:100],
            flags=int.from_bytes(chunk[100:header], 'big'),
            delta=chunk[header:],
        )


def _with_censor_flag(revision: layout.Revision) -> layout.Revision:
    """Return a revision with the flag that version 02 cannot carry."""
    delta = revision.delta
    if len(delta) < deltas.HUNK.size:
        return revision
    start, _end, size = deltas.HUNK.unpack_from(delta)
    text = delta[deltas.HUNK.size :]
    if start or size != len(text) or not text.startswith(_METADATA):
        return revision
    # Of a file or of nothing, Mercurial replaces the whole by a tombstone.
    # Damaged metadata are none.
    with contextlib.suppress(ValueError):
        if storageutil.iscensoredtext(text):
            return revision._replace(flags=REVIDX_ISCENSORED)
    return revision


class RepositoryTexts:
    """The texts of a repository, for an encoder."""

    def __init__(self, repo: Any) -> None:
        self._repo = repo.unfiltered()
        self._last: tuple[tuple[bytes, bytes], Any] = ((b'', b''), None)

    def full_text(self, kind: bytes, name: bytes, node: bytes) -> bytes:
        """Return the raw text of a revision."""
        text: bytes = self._storage(kind, name).rawdata(node)
        return text

    def raw_size(self, kind: bytes, name: bytes, node: bytes) -> int:
        """Return the number of bytes of that text."""
        storage = self._storage(kind, name)
        size: int = storage.rawsize(storage.rev(node))
        return size

    def is_base(self, kind: bytes, name: bytes, node: bytes) -> bool:
        """Return whether receivers have the same raw text of a revision."""
        storage = self._storage(kind, name)
        flags = storage.flags(storage.rev(node))
        return not flags & REVIDX_RAWTEXT_CHANGING_FLAGS

    def _storage(self, kind: bytes, name: bytes) -> Any:
        key = (kind, name)
        if self._last[0] != key:
            if kind == layout.CHANGESETS:
                found = self._repo.changelog
            elif kind == layout.MANIFEST:
                found = self._repo.manifestlog.getstorage(name)
            else:
                found = self._repo.file(name)
            self._last = (key, getattr(found, '_revlog', found))
        return self._last[1]
