# SPDX-License-Identifier: GPL-2.0-or-later
"""Packs decode to what was encoded, or are refused."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mercurial import mdiff
from mercurial.utils import storageutil

from hgext3rd.amalgam.packs import contents, decoder, encoder, layout
from hgext3rd.amalgam.packs.contents import PackedFrame
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
    sizes = {MANIFEST: frame_bytes, FILE: frame_bytes}
    made = encoder.Encoder(Texts(lines), encoder.Effort(3, sizes, compare))
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
    names = [(MANIFEST, b''), (MANIFEST, b'd/'), (FILE, b'a'), (FILE, b'd/b')]
    number = 0
    for kind, name in names:
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
    [b'', b'a/', b'a\nb', b'a\rb'],
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
    frame = PackedFrame(
        layout.FILE, 0, [0], [0], [0], [3], [], [b'(\xb5/\xfd\x20\x03']
    )
    with pytest.raises(PackError):
        frame.entries()


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
