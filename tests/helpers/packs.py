# SPDX-License-Identifier: GPL-2.0-or-later
"""Histories for packs; taking packs apart and putting them together again."""

from __future__ import annotations

import io
import os
import pathlib
import random
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from helpers import wireprotov2_conversation as conversation
from mercurial import context, localrepo, phases

from hgext3rd.amalgam.codecs import chunks, columns
from hgext3rd.amalgam.packs import layout
from hgext3rd.amalgam.packs.errors import PackError
from hgext3rd.wireprotov2.segments import bundle

#: The configuration of clients with each storage.
STORAGES: dict[str, dict[bytes, bytes]] = {
    'revlog': {},
    'sqlite': {
        b'extensions.sqlitestore': b'',
        b'storage.new-repo-backend': b'sqlite',
    },
}

#: The values of a block of each kind, and the columns of its tables.
VALUES = {
    layout.CHANGESETS: ('head', 'table', 'texts'),
    layout.NAMES: ('kind', 'head', 'names'),
    layout.FRAME: ('head', 'bases', 'nodes', 'table', 'data'),
    layout.INDEX: ('head', 'counts', 'table', 'outside', 'places', 'explicit'),
}


class Block:
    """A block. Its values are attributes, and in ``parts`` by name."""

    def __init__(self, kind: bytes, content: bytes) -> None:
        self.kind = kind
        self.content = content

    @property
    def parts(self) -> dict[str, bytes]:
        names = VALUES[self.kind]
        return dict(
            zip(names, layout.cut(self.content, len(names)), strict=True)
        )

    def set(self, **values: bytes) -> None:
        """Change values."""
        self.content = layout.join(*{**self.parts, **values}.values())

    def numbers(self, name: str = 'head') -> list[int]:
        return list(map(int, self.parts[name].split()))

    def text(self, name: str) -> bytes:
        """Return a chunk, decoded."""
        return chunks.decode(self.parts[name])

    def table(self, name: str, count: int) -> list[list[int]]:
        """Return the columns of a table of ``count`` rows."""
        data = self.text(name)
        # The number of columns is that of the widths.
        for width in range(1, 9):
            try:
                return [[*c] for c in columns.unpack(data, width, count)]
            except columns.ColumnError:
                continue
        raise ValueError('not a table')

    def set_table(self, name: str, table: Sequence[Sequence[int]]) -> None:
        self.set(**{name: b'u' + columns.pack(table)})


def blocks(data: bytes) -> list[Block]:
    """Return the blocks of a pack."""
    found = []
    position = layout.HEAD.size
    while position < len(data):
        kind, size = layout.BLOCK.unpack_from(data, position)
        position += layout.BLOCK.size
        found.append(Block(kind, data[position : position + size]))
        position += size
    return found


def joined(found: Sequence[Block], flags: int = 0) -> bytes:
    """Return the pack of these blocks."""
    return layout.HEAD.pack(layout.MAGIC, layout.VERSION, flags) + b''.join(
        layout.block(block.kind, block.content) for block in found
    )


def zstd_that_says(size: int, data: bytes) -> bytes:
    """Return a zstd frame of ``data`` with another content size."""
    packed = chunks.Codec('zstd', 3).encode(data)
    # RFC 8878, section 3.1.1.1: a size of four bytes; a byte for the window is
    # in front of it unless the content is a single segment.
    assert packed[4] & 0xC0 == 0x80
    start = 5 if packed[4] & 0x20 else 6
    return packed[:start] + struct.pack('<I', size) + packed[start + 4 :]


def apply(repo: Any, heads: Sequence[bytes], *packs: bytes) -> None:
    """Apply packs to a repository in one transaction, as a pull does.

    They must bring the changesets ``heads``.
    """
    streams = [io.BytesIO(data) for data in packs]
    with repo.lock(), repo.transaction(b'test') as tr:
        unpacker = bundle.opened(repo, streams)
        assert unpacker is not None
        unpacker.apply(repo, tr, b'pull', b'test', targetphase=phases.public)
        unpacker.finish()
        if not all(map(repo.changelog.index.has_node, heads)):
            raise PackError('other changesets than those that were listed')


def altered(change: Callable[[bytes], bytes]) -> Callable[..., Any]:
    """Return ``bundle.build``, but with payloads that ``change`` returns.

    Their digests are right.
    """
    orig = bundle.build

    def build(*args: Any, **kwargs: Any) -> bundle.Payload:
        payload = orig(*args, **kwargs)
        with payload.stream as stream:
            data = change(stream.read())
        return bundle._stored([data], payload.mediatype)

    return build


def make_history(
    path: pathlib.Path,
    seed: int,
    total: int,
    settings: Mapping[bytes, bytes] | None = None,
) -> Any:
    """Create a repository with branches, merges, copies, and the same changes.

    Branches make the same changes, files are removed and come back, and some
    are in directories below others.
    """
    ui = conversation.make_ui(settings)
    repo = localrepo.instance(ui, os.fsencode(path), True)
    noise = random.Random(seed)
    names = [b'a', b'd/b', b'd/e/c', b'd.x', b'f']
    #: The files of each changeset.
    files: list[dict[bytes, bytes]] = []
    for number in range(total):
        p1 = number - 1
        p2 = -1
        if number > 2 and noise.random() < 0.4:
            p1 = noise.randrange(number)
        if number > 3 and noise.random() < 0.3:
            p2 = noise.randrange(number)
            ancestors = repo.changelog.ancestors([p1], inclusive=True)
            if p2 in ancestors or p1 in repo.changelog.ancestors([p2]):
                p2 = -1
        now = dict(files[p1]) if p1 >= 0 else {}
        if p2 >= 0:
            now |= files[p2]
        copied = {}
        for name in noise.sample(names, 2):
            if name in now and noise.random() < 0.2:
                del now[name]
                continue
            lines = now.get(name, b'line\n' * 40).splitlines(True)
            lines[noise.randrange(40)] = b'%d\n' % noise.randrange(3)
            now[name] = b''.join(lines)
        if number % 4 == 3 and b'f' in now and p1 >= 0 and b'f' in files[p1]:
            now[b'c%d' % number] = now[b'f']
            copied[b'c%d' % number] = b'f'
        now[b'log'] = now.get(b'log', b'') + b'%d\n' % number
        before = files[p1] if p1 >= 0 else {}
        changed = sorted(
            name
            for name in {*now, *before, *(files[p2] if p2 >= 0 else ())}
            if now.get(name) != before.get(name)
        )

        def get(
            repo: Any,
            ctx: Any,
            name: bytes,
            now: Any = now,
            copied: Any = copied,
        ) -> Any:
            if name not in now:
                return None
            return context.memfilectx(
                repo, ctx, name, now[name], copysource=copied.get(name)
            )

        node = repo.changelog.node
        repo.commitctx(
            context.memctx(
                repo,
                (node(p1), node(p2)),
                b'c%d' % number,
                changed,
                get,
                user=b'test',
                date=b'%d 0' % number,
            )
        )
        files.append(now)
    with repo.lock(), repo.transaction(b'publish') as tr:
        phases.advanceboundary(repo, tr, phases.public, repo.heads())
    (path / '.hg' / 'hgrc').write_text('[extensions]\nwireprotov2 =\n')
    return conversation.open_repo(ui, path)
