# SPDX-License-Identifier: GPL-2.0-or-later
"""Packed changegroups unpack to the same bytes, or are refused."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.wireprotov2.segments import pack, packreading, unpack
from hgext3rd.wireprotov2.segments.packmodel import PackError

NULL = b'\0' * 20
END = b'\0\0\0\0'


def node(number: int) -> bytes:
    return bytes([number % 251]) * 20


def chunk(data: bytes) -> bytes:
    return struct.pack('>i', len(data) + 4) + data


def hunk(text: bytes) -> bytes:
    return struct.pack('>III', 0, 0, len(text)) + text


def delta(
    own: bytes,
    changeset: bytes,
    text: bytes,
    parents: tuple[bytes, bytes] = (NULL, NULL),
    base: bytes = NULL,
    flags: bytes = b'',
) -> bytes:
    header = own + parents[0] + parents[1] + base + changeset
    return chunk(header + flags + text)


def history(flags: bytes = b'', directories: bytes = b'') -> bytes:
    """Three changesets of one file, as changegroups have them."""
    changesets, manifests, files = b'', b'', b''
    previous = NULL, NULL, NULL
    for number in range(3):
        own, manifest, file = (node(10 * number + n) for n in (1, 2, 3))
        text = manifest.hex().encode() + b'\nuser\n0 0\nfile\n\nsummary'
        line = b'dir/file\0%s\n' % file.hex().encode()
        changesets += delta(
            own, own, hunk(text), (previous[0], NULL), flags=flags
        )
        manifests += delta(
            manifest, own, hunk(line), (previous[1], NULL), previous[1], flags
        )
        files += delta(
            file,
            own,
            hunk(b'text %d' % number),
            (previous[2], NULL),
            flags=flags,
        )
        previous = own, manifest, file
    return b''.join(
        [changesets, END, manifests, END, directories]
        + [chunk(b'dir/file'), files, END, END]
    )


V2 = history()
V3 = history(b'\x80\0', chunk(b'dir/') + END + END)


def packed(version: bytes, stream: bytes, step: int = 1000) -> bytes:
    chunks = [stream[i : i + step] for i in range(0, len(stream), step)]
    return b''.join(pack.pack(version, chunks))


def unpacked(data: bytes, step: int = 1000) -> tuple[bytes, bytes]:
    chunks = [data[i : i + step] for i in range(0, len(data), step)]
    version, *chunks = packreading.unpack(chunks)
    return version, b''.join(chunks)


@pytest.mark.parametrize('version, stream', [(b'02', V2), (b'03', V3)])
@pytest.mark.parametrize('step', [1, 7, 100_000])
def test_round_trip(version: bytes, stream: bytes, step: int) -> None:
    data = packed(version, stream, step)
    assert unpacked(data, step) == (version, stream)


def test_hashes_that_can_be_predicted_are_not_sent() -> None:
    data = packed(b'02', V2)
    for number in range(3):
        # The hash of a changeset is sent once, those of its manifest and file
        # are not sent.
        assert data.count(node(10 * number + 1)) == 1
        assert node(10 * number + 2) not in data
        assert node(10 * number + 3) not in data
    assert len(data) < len(V2) / 2


def test_layout() -> None:
    own, manifest = node(1), node(2)
    text = hunk(manifest.hex().encode() + b'\n')
    stream = b''.join(
        [delta(own, own, text), END]
        + [delta(manifest, own, b''), END]
        + [chunk(b'f'), delta(node(3), own, b'', (node(4), NULL)), END, END]
    )
    assert packed(b'02', stream) == b''.join(
        [
            b'02',
            # 153 bytes; the changeset is itself; node; no parents, no base.
            b'\x99\x01\x02' + own + b'\x01\x01\x01' + text + b'\0',
            # 100 bytes; the first changeset; node as predicted.
            b'\x64\x01\x02\x01\x01\x01' + b'\0',
            # A file; its node was not predicted; a parent is outside.
            b'\x01f',
            b'\x64\x01\0' + node(3) + b'\0' + node(4) + b'\x01\x01' + b'\0',
            b'\0',
        ]
    )


nodes = st.sampled_from([NULL, *(node(n) for n in range(1, 7))])
texts = st.one_of(
    st.binary(max_size=40),
    st.builds(
        lambda path, own: hunk(path + b'\0' + own.hex().encode() + b'\n'),
        st.sampled_from([b'a', b'b', b'a/b']),
        nodes,
    ),
    st.builds(lambda own: hunk(own.hex().encode() + b'\nx'), nodes),
)
deltas = st.lists(
    st.builds(delta, nodes, nodes, texts, st.tuples(nodes, nodes), nodes),
    max_size=5,
).map(b''.join)
named = st.lists(
    st.builds(
        lambda name, group: chunk(name) + group + END,
        st.sampled_from([b'a', b'b', b'a/b']),
        deltas,
    ),
    max_size=3,
).map(b''.join)


@given(deltas, deltas, named)
def test_any_changegroup_survives(
    changesets: bytes, manifests: bytes, files: bytes
) -> None:
    stream = changesets + END + manifests + END + files + END
    assert unpacked(packed(b'02', stream)) == (b'02', stream)


@pytest.mark.parametrize(
    'stream, message',
    [
        (b'', 'cut short'),
        (V2[:-1], 'cut short'),
        (V2 + b'x', 'bytes follow'),
        (b'\0\0\0\2', 'bad length'),
        (chunk(b'x' * 99), 'shorter than its header'),
    ],
)
def test_pack_refuses(stream: bytes, message: str) -> None:
    with pytest.raises(PackError, match=message):
        packed(b'02', stream)


@pytest.mark.parametrize(
    'data, message',
    [
        (b'', 'cut short'),
        (b'09', 'unknown version'),
        (packed(b'02', V2)[:-1], 'cut short'),
        (packed(b'02', V2) + b'x', 'bytes follow'),
        (b'02\x05', 'shorter than its header'),
        (b'02' + b'\xff' * 6, 'too large'),
        (b'02\xff\xff\xff\xff\x7f', 'bad length'),
        (b'02\x64\x03', 'unknown kind'),
        (b'02\x64\x02' + node(1) + b'\x04', 'no hash'),
        (b'02\x64\x02' + node(1) + b'\x03', 'no hash'),
        (b'02\x00\x64\x01', 'no changeset'),
        (b'02\x00\x64\x00' + node(1) + b'\x02', 'cannot be predicted'),
    ],
)
def test_unpack_refuses(data: bytes, message: str) -> None:
    with pytest.raises(PackError, match=message):
        unpacked(data)


@given(st.data())
def test_damage_is_refused_or_harmless(data: st.DataObject) -> None:
    # Digests find damage earlier. Unpacking must only not hang or fill memory.
    sound = bytearray(packed(b'02', V2))
    position = data.draw(st.integers(2, len(sound) - 1))
    sound[position] ^= data.draw(st.integers(1, 255))
    try:
        unpacked(bytes(sound))
    except PackError:
        pass


def test_unknown_flags_reach_no_storage() -> None:
    stream = packed(b'03', history(b'\0\1', END))
    version, items = packreading.items([stream])
    group = unpack.unpacker(version, items)
    with pytest.raises(PackError, match='unknown flags'):
        list(group.deltaiter())


def test_versions() -> None:
    assert pack.packable(b'02')
    assert pack.packable(b'03')
    assert not pack.packable(b'04')
