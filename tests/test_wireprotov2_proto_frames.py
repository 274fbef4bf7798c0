# SPDX-License-Identifier: GPL-2.0-or-later
"""Wire frames: exact bytes, any chunking, too large ones refused early."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.wireprotov2.proto import frames
from hgext3rd.wireprotov2.proto.errors import FrameError, LimitError

frame_fields = st.tuples(
    st.integers(0, 65535),
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 15),
    st.integers(0, 15),
    st.binary(max_size=50),
)


def fields(frame: frames.Frame) -> tuple[int, int, int, int, int, bytes]:
    return (
        frame.requestid,
        frame.streamid,
        frame.streamflags,
        frame.typeid,
        frame.flags,
        frame.payload,
    )


@given(st.lists(frame_fields, max_size=5), st.lists(st.integers(0, 1000)))
def test_parsing_does_not_depend_on_chunking(
    wanted: list[tuple[int, int, int, int, int, bytes]], cuts: list[int]
) -> None:
    data = b''.join(frames.build(*f) for f in wanted)
    edges = sorted({0, len(data), *(c % (len(data) + 1) for c in cuts)})
    parser = frames.FrameParser()
    found = []
    for start, stop in zip(edges, edges[1:], strict=False):
        found += parser.feed(data[start:stop])
    parser.finish()
    assert [fields(f) for f in found] == wanted


def test_exact_bytes() -> None:
    data = frames.build(
        1,
        1,
        frames.STREAM_BEGIN,
        frames.COMMAND_REQUEST,
        frames.REQUEST_NEW,
        b'payload',
    )
    assert data == b'\x07\x00\x00\x01\x00\x01\x01\x11payload'
    assert (
        frames.build(0x1234, 2, 4, 3, 2, b'')
        == b'\x00\x00\x00\x34\x12\x02\x04\x32'
    )


def test_senders_keep_the_size_limit() -> None:
    assert len(frames.build(1, 1, 0, 1, 0, b'a' * 32768)) == 32776
    with pytest.raises(FrameError):
        frames.build(1, 1, 0, 1, 0, b'a' * 32769)


def test_too_large_frames_are_refused_at_the_header() -> None:
    parser = frames.FrameParser()
    (frame,) = parser.feed(b'\xff\xff\x00\1\0\1\1\x11' + b'a' * 65535)
    assert len(frame.payload) == 65535
    with pytest.raises(LimitError):
        parser.feed(b'\x00\x00\x01\1\0\1\1\x11')


def test_truncated_frames() -> None:
    parser = frames.FrameParser()
    assert not parser.pending
    for chunk in (b'\x02\0\0\1', b'\0\1\1\x11', b'a'):
        assert parser.feed(chunk) == []
        assert parser.pending
        with pytest.raises(FrameError):
            parser.finish()
    assert len(parser.feed(b'b')) == 1
    parser.finish()


@pytest.mark.parametrize(
    ('fields', 'framing', 'expected'),
    [
        (
            (1, 1, 1, 1, 5, b'ab'),
            frames.FRAMING_0005,
            b'frame(size=2; request=1; stream=1; streamflags=stream-begin; '
            b'type=command-request; flags=new|more)',
        ),
        (
            (3, 2, 6, 9, 2, b''),
            frames.FRAMING_0006,
            b'frame(size=0; request=3; stream=2; '
            b'streamflags=stream-end|encoded; type=stream-settings; flags=eos)',
        ),
        (
            (1, 2, 8, 15, 1, b''),
            frames.FRAMING_0005,
            b'frame(size=0; request=1; stream=2; streamflags=<unknown 0x08>; '
            b'type=<unknown 0x0f>; flags=<unknown 0x01>)',
        ),
    ],
)
def test_description(
    fields: tuple[int, int, int, int, int, bytes],
    framing: frames.Framing,
    expected: bytes,
) -> None:
    assert frames.describe(frames.Frame(*fields), framing) == expected


def test_media_types() -> None:
    assert [
        framing.mediatype
        for framing in (frames.FRAMING_0005, frames.FRAMING_0006)
    ] == [
        b'application/mercurial-exp-framing-0005',
        b'application/mercurial-exp-framing-0006',
    ]
