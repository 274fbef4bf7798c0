# SPDX-License-Identifier: GPL-2.0-or-later
"""Packs decode to what was encoded, or are refused."""

from __future__ import annotations

import io
import random
import struct
import tracemalloc
from collections.abc import Iterator

import pytest
from helpers.packs import zstd_that_says
from hypothesis import given, settings
from hypothesis import strategies as st
from mercurial import mdiff
from mercurial.utils import storageutil

from hgext3rd.amalgam.codecs import chunks, columns
from hgext3rd.amalgam.packs import (
    contents,
    decoder,
    encoder,
    framewriter,
    layout,
    names,
)
from hgext3rd.amalgam.packs.contents import PackedFrame, Pieces
from hgext3rd.amalgam.packs.derivation import Derivation
from hgext3rd.amalgam.packs.errors import PackError
from hgext3rd.amalgam.packs.layout import FILE, MANIFEST, NULL, Revision
from hgext3rd.wireprotov2.segments import unpacking

OUTSIDE = b'\x77' * 20
#: By kind of line, name and node: the text that deltas of OUTSIDE apply to.
BEFORE = b'one\ntwo\nthree\n'

Line = tuple[bytes, bytes, list[tuple[Revision, bytes]]]


class Texts:
    """The texts of the revisions of a test."""

    def __init__(self, lines: list[Line]) -> None:
        self._texts = {
            (kind, name, revision.node): text
            for kind, name, revisions in lines
            for revision, text in revisions
        }

    def full_text(self, kind: bytes, name: bytes, node: bytes) -> bytes:
        if node == OUTSIDE:
            return BEFORE
        return self._texts[kind, name, node]

    def raw_size(self, kind: bytes, name: bytes, node: bytes) -> int:
        return len(self.full_text(kind, name, node))

    def is_base(self, kind: bytes, name: bytes, node: bytes) -> bool:
        return True


def insertion(text: bytes) -> bytes:
    return bytes(mdiff.trivialdiffheader(len(text))) + text


def changesets(texts: list[bytes], outside: bool = False) -> list[Revision]:
    """Return a line of changesets with these texts."""
    found = []
    parent = OUTSIDE if outside else NULL
    for text in texts:
        node = storageutil.hashrevisionsha1(text, parent, NULL)
        found.append(
            Revision(node, parent, NULL, node, NULL, insertion(text), 0)
        )
        parent = node
    return found


def encoded(
    first: list[Revision],
    lines: list[Line],
    frame_bytes: int = 1 << 20,
    compare: bool = False,
) -> bytes:
    trees = any(kind == MANIFEST and name for kind, name, _revisions in lines)
    sizes = {MANIFEST: frame_bytes, FILE: frame_bytes}
    made = encoder.Encoder(
        Texts(lines), encoder.Effort(3, sizes, compare), trees
    )
    for revision in first:
        made.changeset(revision)
    for kind, name, revisions in lines:
        made.begin(kind, name)
        for revision, _text in revisions:
            made.revision(revision)
    made.finish()
    return b''.join(made.take())


def items(data: bytes) -> list[unpacking.Item]:
    return list(unpacking.items(decoder.Decoder(io.BytesIO(data))))


def groups(data: bytes) -> Iterator[tuple[bytes, Revision, bytes]]:
    """Yield (name, revision, text) of all revisions after the changesets."""
    texts: dict[tuple[bytes, bytes], bytes] = {}
    ends = 0
    name = b''
    for item in items(data):
        if item is None:
            ends += 1
        elif isinstance(item, bytes):
            name = item
        elif ends:
            key = name, item.base
            base = BEFORE if item.base == OUTSIDE else texts.get(key, b'')
            if item.base not in (NULL, OUTSIDE):
                assert key in texts
            text = mdiff.patches(base, [item.delta]) if item.delta else base
            texts[name, item.node] = bytes(text)
            yield name, item, bytes(text)


def small() -> tuple[list[Revision], list[Line]]:
    """Return two changesets that change one file."""
    nodes = [bytes([n]) * 20 for n in range(1, 5)]
    line = b'a\0%s\n'
    manifests = [line % nodes[2].hex().encode(), line % nodes[3].hex().encode()]
    first = changesets(
        [
            nodes[n].hex().encode() + b'\nme\n%d 0\na\n\nchange' % n
            for n in range(2)
        ]
    )
    lines: list[Line] = []
    for kind, name, own, texts in (
        (MANIFEST, b'', nodes[:2], manifests),
        (FILE, b'a', nodes[2:], [b'one\n', b'one\ntwo\n']),
    ):
        deltas = [insertion(texts[0]), bytes(mdiff.textdiff(*texts))]
        lines.append(
            (
                kind,
                name,
                [
                    (
                        Revision(
                            own[n],
                            (NULL, own[0])[n],
                            NULL,
                            first[n].node,
                            (NULL, own[0])[n],
                            deltas[n],
                            0,
                        ),
                        texts[n],
                    )
                    for n in range(2)
                ],
            )
        )
    return first, lines


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Revision], list[Line]]:
    """Any history, with nodes that manifests name and others."""
    count = draw(st.integers(1, 6))
    roots = [bytes([200 + n]) * 20 for n in range(count)]
    first = changesets(
        [
            root.hex().encode() + b'\nuser\n0 0\n\n%d' % n
            for n, root in enumerate(roots)
        ],
        draw(st.booleans()),
    )
    lines: list[Line] = []
    kinds = [(MANIFEST, b''), (MANIFEST, b'd/'), (FILE, b'a'), (FILE, b'd/b')]
    number = 0
    for kind, name in kinds:
        revisions: list[tuple[Revision, bytes]] = []
        known = {NULL: b'', OUTSIDE: BEFORE}
        for link in range(count):
            if not draw(st.booleans()):
                continue
            number += 1
            node = bytes([number]) * 20
            if kind == MANIFEST and not name and draw(st.booleans()):
                node = roots[link]
            if kind == MANIFEST:
                text = b''.join(
                    b'%s\0%s%s\n'
                    % (
                        path,
                        (bytes([draw(st.integers(1, 30))]) * 20).hex().encode(),
                        suffix,
                    )
                    for path, suffix in (
                        (b'a', b''),
                        (b'd', b't'),
                        (b'b', b'x'),
                    )
                    if draw(st.booleans())
                )
            else:
                text = draw(st.binary(max_size=60))
            base = draw(st.sampled_from(sorted(known)))
            delta = bytes(mdiff.textdiff(known[base], text))
            if base == NULL:
                delta = insertion(text)
            p1, p2 = draw(st.tuples(*2 * [st.sampled_from(sorted(known))]))
            flags = draw(st.sampled_from([0, 1 << 15, 1 << 13]))
            revision = Revision(
                node, p1, p2, first[link].node, base, delta, flags
            )
            known[node] = text
            revisions.append((revision, text))
        lines.append((kind, name, revisions))
    return first, lines


@settings(max_examples=150, deadline=None)
@given(histories(), st.sampled_from([1, 100, 1 << 20]), st.booleans())
def test_round_trip(
    history: tuple[list[Revision], list[Line]], frame_bytes: int, compare: bool
) -> None:
    first, lines = history
    data = encoded(first, lines, frame_bytes, compare)
    found = items(data)
    assert found[: len(first)] == first
    expected = [
        (name, revision._replace(base=NULL, delta=b''), text)
        for _kind, name, revisions in lines
        for revision, text in revisions
    ]
    assert [
        (name, revision._replace(base=NULL, delta=b''), text)
        for name, revision, text in groups(data)
    ] == expected


def test_changesets_without_manifests_or_files() -> None:
    """The group of manifests is empty if no changeset has a new one."""
    first = changesets([b'0' * 40 + b'\nuser\n0 0\n\nclose'], outside=True)
    assert items(encoded(first, [(MANIFEST, b'', [])])) == [
        *first,
        *4 * [None],
    ]


def test_nodes_that_can_be_derived_are_not_sent() -> None:
    first, lines = small()
    data = encoded(first, lines)
    for _kind, _name, revisions in lines:
        for revision, _text in revisions:
            assert revision.node not in data


def test_no_frame_ends_within_the_line_of_a_large_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its text would be repeated in the next frame."""
    size, count = 5000, 6
    monkeypatch.setattr(framewriter, 'LARGE_TEXT', size)
    (change,) = changesets([b'0' * 40 + b'\nuser\n0 0\n\nclose'])
    noise = random.Random(5).randbytes
    lines: list[Line] = []
    for number in range(count):
        text = noise(size)
        after = text + b'\nmore'
        first = storageutil.hashrevisionsha1(text, NULL, NULL)
        second = storageutil.hashrevisionsha1(after, first, NULL)
        delta = bytes(mdiff.textdiff(text, after))
        revisions = [
            (
                Revision(
                    first, NULL, NULL, change.node, NULL, insertion(text), 0
                ),
                text,
            ),
            (
                Revision(second, first, NULL, change.node, first, delta, 0),
                after,
            ),
        ]
        lines.append((FILE, b'file%d' % number, revisions))
    data = encoded([change], lines, frame_bytes=1)
    assert len(data) < count * size + size // 2
    assert [text for _name, _revision, text in groups(data)] == [
        text for _kind, _name, revisions in lines for _rev, text in revisions
    ]


def test_every_truncation_is_refused() -> None:
    data = encoded(*small())
    for size in range(len(data)):
        with pytest.raises(PackError):
            items(data[:size])
    with pytest.raises(PackError, match='end does not match'):
        items(data + b'x')


@pytest.mark.parametrize('frame_bytes', [1, 1 << 20])
def test_every_changed_byte_is_refused_or_harmless(frame_bytes: int) -> None:
    """Nothing but PackError comes out, and whatever decodes is whole."""
    data = encoded(*small(), frame_bytes)
    for position in range(len(data)):
        for change in (1, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[position] ^= change
            try:
                found = items(bytes(damaged))
            except PackError:
                continue
            for item in found:
                if isinstance(item, Revision):
                    assert all(len(node) == 20 for node in item[:5])


def blocks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the blocks of a pack."""
    found = []
    position = layout.HEAD.size
    while position < len(data):
        kind, size = layout.BLOCK.unpack_from(data, position)
        position += layout.BLOCK.size
        found.append((kind, data[position : position + size]))
        position += size
    return found


def joined(found: list[tuple[bytes, bytes]]) -> bytes:
    return layout.HEAD.pack(layout.MAGIC, layout.VERSION, 0) + b''.join(
        layout.block(kind, content) for kind, content in found
    )


def test_blocks() -> None:
    """The order of blocks, and what the heads of a small pack say."""
    data = encoded(*small())
    assert data.startswith(b'HGPK\x02\0')
    found = blocks(data)
    assert b''.join(kind for kind, _content in found) == b'CNFINFIE'
    assert joined(found) == data
    assert found[1][1] == layout.join(b'm', b'1', b'')
    assert found[4][1] == layout.join(b'f', b'1', b'ua')
    assert found[7][1] == b'2 4 2'


@pytest.mark.parametrize(
    'name',
    [
        b'',
        b'a/',
        b'a\nb',
        b'a\rb',
        b'/a',
        b'//a',
        b'a//b',
        b'.',
        b'..',
        b'../a',
        b'a/../b',
        b'a/..',
        b'a/./b',
        b'.hg/hgrc',
        b'.hg',
        b'a/.HG/hgrc',
        b'a/.hG./hgrc',
        'a/.h\u200cg/hgrc'.encode(),
        b'\xff/../a',
    ],
)
def test_names_that_no_file_can_have(name: bytes) -> None:
    found = blocks(encoded(*small()))
    chunk = b'u' + name if name else b''
    found[4] = b'N', layout.join(b'f', b'1', chunk)
    with pytest.raises(PackError, match='no file can have'):
        items(joined(found))


def test_line_that_comes_twice() -> None:
    found = blocks(encoded(*small()))
    found[4] = b'N', layout.join(b'f', b'2', b'ua\0a')
    with pytest.raises(PackError, match='comes twice'):
        items(joined(found))


def test_revision_that_comes_twice() -> None:
    first, lines = small()
    (one, text), _two = lines[1][2]
    # The encoder does not look for it.
    lines[1] = FILE, b'a', [(one, text), (one, text)]
    with pytest.raises(PackError, match='comes twice'):
        items(encoded(first, lines))


@pytest.mark.parametrize('digits', [b' ' * 40, b'ab' * 18 + b'    ', b'g' * 40])
def test_nodes_that_are_no_digits(digits: bytes) -> None:
    """White space is no digit either: it would make a node short."""
    first, lines = small()
    text = digits + b'\nme\n0 0\n\nx'
    first = changesets([text, text])
    # An encoder sends such nodes, so derive them as the decoder does.
    found = blocks(encoded(*small()))
    found[0] = blocks(encoded(first, []))[0]
    with pytest.raises(PackError, match='damaged'):
        items(joined(found))


@pytest.mark.parametrize('length', [-12, -1, 5, 1 << 30])
def test_manifest_delta_with_a_wrong_length(length: int) -> None:
    """A length of -12 leads back to where the hunk begins."""
    with pytest.raises(PackError):
        Derivation().add_delta(b'', 0, struct.pack('>lll', 0, 0, length))


def test_unknown_kind_of_chunk_in_a_frame() -> None:
    found = blocks(encoded(*small()))
    for chunk in (b'Qabc', b'x\x9c\x03\0\0\0\0\x01'):
        head, bases, nodes, table, _chunk = layout.cut(found[5][1], 5)
        found[5] = b'F', layout.join(head, bases, nodes, table, chunk)
        with pytest.raises(PackError):
            items(joined(found))


@pytest.mark.parametrize('count', [b'99999999', b'99999999999', b'-1', b''])
def test_counts_are_limited(count: bytes) -> None:
    """Columns of zeros take no bytes, so a count alone must not allocate."""
    found = blocks(encoded(*small()))
    _head, *values = layout.cut(found[0][1], 3)
    found[0] = b'C', layout.join(count, *values)
    with pytest.raises(PackError):
        items(joined(found))


def test_damaged_content_of_a_frame_is_a_pack_error() -> None:
    """Frames of files are decompressed after the decoder has passed them on."""
    data = b'(\xb5/\xfd\x20\x03'
    pieces = Pieces(io.BytesIO(data))
    pieces.add(0, len(data))
    frame = PackedFrame(layout.FILE, 0, [0], [0], [0], [3], [], pieces)
    with pytest.raises(PackError):
        frame.entries()


@pytest.mark.parametrize(
    'name',
    [
        b'a',
        b'.a',
        b'..a',
        b'a..',
        b'.hga',
        b'a.hg',
        b'a/.hgtags',
        b'.h/g',
        b'...',
    ],
)
def test_names_that_files_can_have(name: bytes) -> None:
    assert names.are_right([b'a/b', name, b'c'])
    assert not names.are_right([b'a/b', name, b'..'])


def reframed(content: bytes, **changes: bytes | list[list[int]]) -> bytes:
    """Return the content of a block with a frame, with other values."""
    keys = ('head', 'bases', 'nodes', 'table', 'chunk')
    values = dict(zip(keys, layout.cut(content, 5), strict=True))
    for key, value in changes.items():
        if isinstance(value, list):
            value = b'u' + columns.pack(value)
        values[key] = value
    return layout.join(*values.values())


def refused(found: list[tuple[bytes, bytes]], reason: str) -> None:
    with pytest.raises(PackError, match=reason):
        items(joined(found))


def test_directory_without_the_flag_for_trees() -> None:
    found = blocks(encoded(*small()))
    found[1] = b'N', layout.join(b'm', b'2', b'u\0d/')
    refused(found, 'a directory in a pack without trees')


def test_line_without_revisions() -> None:
    """Names alone would take memory, and no bytes of content."""
    found = blocks(encoded(*small()))
    found[4] = b'N', layout.join(b'f', b'2', b'ua\0b')
    refused(found, 'an index is missing')
    head, _counts, *rest = layout.cut(found[6][1], 6)
    counts = b'u' + columns.pack([[2, 0], [0, 0]])
    found[6] = b'I', layout.join(b'2 0 0', counts, *rest)
    refused(found, 'out of range')


def test_links_of_manifests_that_the_index_does_not_have() -> None:
    """Nodes of files would be those of other changesets."""
    found = blocks(encoded(*small()))
    assert found[2][0] == b'F'
    head, table = (layout.cut(found[2][1], 5)[n] for n in (0, 3))
    lines, revs, distances, lengths, _links = columns.unpack(
        chunks.decode(table), 5, 2
    )
    found[2] = (
        b'F',
        reframed(
            found[2][1],
            table=[[*lines], [*revs], [*distances], [*lengths], [1, -1]],
        ),
    )
    refused(found, 'does not match')
    found[2] = (
        b'F',
        reframed(
            found[2][1],
            table=[[*lines], [*revs], [*distances], [*lengths], [0, 9]],
        ),
    )
    refused(found, 'out of range')


def test_names_are_limited_together(monkeypatch: pytest.MonkeyPatch) -> None:
    found = blocks(encoded(*small()))
    monkeypatch.setattr(layout, 'MOST_ALL_NAMES', 10)
    for number in range(4):
        name = b'u%d' % number * 3
        found.insert(1, (b'N', layout.join(b'm', b'1', b'')))
        found[1] = b'N', layout.join(b'f', b'1', name)
    refused(found, 'too many names')


def test_names_without_an_index_are_limited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = blocks(encoded(*small()))
    monkeypatch.setattr(layout, 'MOST_ROWS', 2)
    found[4] = b'N', layout.join(b'f', b'3', b'ua\0b\0c')
    refused(found, 'too many names')


def test_entries_without_an_index_are_limited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Frames are kept until then."""
    found = blocks(encoded(*small()))
    found[5:6] = [found[5]] * 3
    refused(found, 'does not match')
    monkeypatch.setattr(layout, 'MOST_ROWS', 5)
    refused(found, 'an index is missing')


def test_manifests_of_equal_lines_are_limited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A few bytes must not become a million nodes."""
    monkeypatch.setattr(layout, 'FREE_LINES', 1000)
    monkeypatch.setattr(decoder, '_LARGE', 1000)
    for count, fits in ((900, True), (100_000, False)):
        text = b''.join(b'%05d\0%s\n' % (n, b'a' * 40) for n in range(count))
        node = b'\1' * 20
        first = changesets([node.hex().encode() + b'\nme\n0 0\n\n'])
        root = Revision(
            node, NULL, NULL, first[0].node, NULL, insertion(text), 0
        )
        data = encoded(first, [(MANIFEST, b'', [(root, text)])])
        if fits:
            items(data)
            continue
        assert len(data) < count * 4
        with pytest.raises(PackError, match='too many lines'):
            items(data)
        # Also if it comes in many deltas.
        deltas = [
            struct.pack('>lll', 0, 0, len(part)) + part
            for part in (text[n : n + 470] for n in range(0, len(text), 470))
        ]
        links = first[0].node
        revisions = [(root, b'')] + [
            (
                Revision(
                    bytes([n // 250 + 2, n % 250]) * 10,
                    node,
                    NULL,
                    links,
                    node,
                    delta,
                    0,
                ),
                b'',
            )
            for n, delta in enumerate(deltas)
        ]
        revisions[0] = (root._replace(delta=insertion(b'')), b'')
        with pytest.raises(PackError, match='too many lines'):
            items(encoded(first, [(MANIFEST, b'', revisions)]))


def test_blocks_of_changesets_are_limited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = encoded(*small())
    monkeypatch.setattr(layout, 'MOST_TEXTS', 10)
    with pytest.raises(PackError, match='too large'):
        items(data)
    monkeypatch.setattr(layout, 'MOST_TEXT', 10)
    with pytest.raises(PackError, match='out of range'):
        items(data)


# -- content that is larger than it says


@pytest.mark.parametrize('says', [65_536, 4 << 20])
def test_decoding_stops_at_the_size_that_is_stated(says: int) -> None:
    bomb = zstd_that_says(says, bytes(200 << 20))
    assert len(bomb) < 50_000
    for pieces in ([bomb], [bomb[:1000], bomb[1000:]]):
        tracemalloc.start()
        with pytest.raises(chunks.ChunkError):
            chunks.decode_limited(pieces, says)
        _now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 20 << 20


@pytest.mark.parametrize('count', [2, 3, 50])
def test_chunk_in_pieces(count: int) -> None:
    data = random.Random(3).randbytes(70_000) * 3
    chunk = chunks.Codec('zstd', 3).encode(data)
    step = len(chunk) // count + 1
    pieces = [chunk[n : n + step] for n in range(0, len(chunk), step)]
    assert chunks.decode_limited(pieces, len(data)) == data
    with pytest.raises(chunks.ChunkError):
        chunks.decode_limited(pieces, len(data) - 1)
    with pytest.raises(chunks.ChunkError):
        chunks.decode_limited(pieces[:-1], len(data))
    for wrong in (len(data) - 1, len(data) + 1):
        lie = zstd_that_says(wrong, data)
        with pytest.raises(chunks.ChunkError):
            chunks.decode_limited([lie[:100], lie[100:]], wrong)
        with pytest.raises(chunks.ChunkError):
            chunks.decode_limited([lie], wrong)


def test_continuations_are_limited() -> None:
    """Data that no entry needs must not pile up in memory."""
    found = blocks(encoded(*small()))
    found[6:6] = [(b'P', bytes(2000))] * 3
    refused(found, 'data of a frame is too large')


def names_block(names: bytes, count: int, kind: bytes = b'f') -> bytes:
    chunk = chunks.Codec('zstd', 3).encode(names)
    return layout.block(layout.NAMES, layout.join(kind, b'%d' % count, chunk))


#: Why each of the packs below is refused.
HOSTILE = {
    'rows': 'table is too large',
    'more rows': 'table is too large',
    'wide rows': 'chunk is too large',
    'a text': 'chunk is too large',
    'two texts': 'block of changesets is too large',
    'names': 'chunk is too large',
    'equal names': 'comes twice',
    'many names': 'too many names',
    "entries b'f'": 'an index is missing',
    "entries b'm'": 'an index is missing',
    'an index': 'does not match the frames',
    'lines of a manifest': 'too many lines',
}


def hostile() -> Iterator[tuple[str, bytes]]:
    """Yield small packs that ask for much memory."""
    head = layout.HEAD.pack(layout.MAGIC, layout.VERSION, 0)
    zstd = chunks.Codec('zstd', 3)

    def changesets(count: int, columns: bytes, texts: bytes) -> bytes:
        return head + layout.block(
            layout.CHANGESETS, layout.join(b'%d' % count, columns, texts)
        )

    many = layout.MOST_ROWS
    yield 'rows', changesets(99_999_999, b'u' + bytes(5), b'')
    yield 'more rows', changesets(many + 1, b'u' + bytes(5), b'')
    yield 'wide rows', changesets(10, zstd.encode(bytes(64 << 20)), b'')
    yield (
        'a text',
        changesets(
            1,
            b'u' + columns.pack([[0], [0], [0], [100], [0]]),
            zstd.encode(bytes(200 << 20)),
        ),
    )
    half = 100 << 20
    yield (
        'two texts',
        changesets(
            2,
            b'u' + columns.pack([[0, 0], [0, 0], [0, 0], [half, half], [0, 0]]),
            zstd.encode(bytes(2 * half)),
        ),
    )
    yield 'names', head + names_block(b'\0' * (200 << 20), (200 << 20) + 1)
    yield 'equal names', head + names_block(b'a\0' * 999_999 + b'a', 10**6)
    some = b'\0'.join(b'%07d' % n for n in range(1_500_000))
    yield 'many names', head + names_block(some, 1_500_000)
    name = names_block(b'a', 1)
    for kind in (b'f', b'm'):
        start = head + changesets(1, b'u' + bytes(5), b'')[len(head) :]
        start += names_block(b'a' if kind == b'f' else b'', 1, kind)
        width = 4 if kind == b'f' else 5
        yield (
            f'entries {kind!r}',
            start
            + layout.block(
                layout.FRAME,
                layout.join(b'%d 0' % many, b'', b'', b'u' + bytes(width), b''),
            )
            * 40,
        )
    yield (
        'an index',
        head
        + name
        + layout.block(
            layout.INDEX,
            layout.join(
                b'1 0 0',
                b'u' + columns.pack([[many], [0]]),
                b'u' + bytes(7),
                b'',
                b'',
                b'',
            ),
        ),
    )
    lines = b'\n' * (20 << 20)
    yield (
        'lines of a manifest',
        changesets(1, b'u' + bytes(5), b'')
        + names_block(b'', 1, b'm')
        + layout.block(
            layout.FRAME,
            layout.join(
                b'1 0',
                b'',
                b'',
                b'u' + columns.pack([[0], [0], [0], [len(lines)], [0]]),
                zstd.encode(lines),
            ),
        )
        + layout.block(layout.END, b'1 1 1'),
    )


def test_hostile_packs_take_little_memory() -> None:
    """A pack of some kB is refused before it takes 100 MB."""
    for name, data in hostile():
        assert len(data) < 2 << 20, name
        tracemalloc.start()
        try:
            with pytest.raises(PackError, match=HOSTILE[name]):
                for _event in decoder.Decoder(io.BytesIO(data)).events():
                    pass
            _now, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 100 << 20, name


@pytest.mark.parametrize(
    'text',
    [
        b'',
        b'short',
        b'0' * 40,
        b'0' * 40 + b'\n',
        b'0' * 40 + b'\nno end',
        b'0' * 40 + b'\nuser\nno end',
        b'0' * 40 + b'\nuser\n0 0\n',
        b'0' * 40 + b'\nuser\n0 0\nfile\n\ndescription',
        b'\n' * 50,
    ],
)
def test_texts_of_changesets_of_any_form(text: bytes) -> None:
    first = changesets([text, b'0' * 40 + b'\nuser\n0 0\n\nother', text])
    found = items(encoded(first, []))
    assert found[:3] == first


@pytest.mark.parametrize(
    ('lengths', 'middles'),
    [([50], [10]), ([50], [-1]), ([50, 8], [3, 1]), ([-1, 59], [0, 0])],
)
def test_parts_that_do_not_match_their_texts(
    lengths: list[int], middles: list[int]
) -> None:
    with pytest.raises(PackError):
        contents.joined_texts(b'x' * 58, lengths, middles)
