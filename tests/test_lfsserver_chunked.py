# SPDX-License-Identifier: GPL-2.0-or-later
"""The decoder of the chunked transfer coding."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.lfsserver import errors
from hgext3rd.lfsserver.http.chunked import MAX_TRAILERS, ChunkedReader


def encode(chunks: list[bytes], trailers: bytes = b'') -> bytes:
    body = b''.join(
        b'%X;ext=1\r\n%s\r\n' % (len(chunk), chunk) for chunk in chunks
    )
    return body + b'0\r\n' + trailers + b'\r\n'


def read_all(data: bytes, size: int = 7) -> tuple[bytes, bytes]:
    """Return the content, and what follows the body in the stream."""
    stream = io.BytesIO(data)
    reader = ChunkedReader(stream)
    content = b''
    while block := reader.read(size):
        content += block
    assert reader.finished
    assert reader.read(1) == b''
    return content, stream.read()


@given(st.lists(st.binary(min_size=1)), st.integers(1, 50))
def test_round_trip(chunks: list[bytes], size: int) -> None:
    data = encode(chunks, b'Trailer: x\r\n') + b'next'
    assert read_all(data, size) == (b''.join(chunks), b'next')


@given(st.lists(st.binary(min_size=1), min_size=1), st.data())
def test_truncated(chunks: list[bytes], data: st.DataObject) -> None:
    whole = encode(chunks)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(errors.ShortBody):
        read_all(whole[:cut])


@given(st.binary())
def test_random_input(data: bytes) -> None:
    try:
        read_all(data)
    except errors.BadRequest:
        pass


@pytest.mark.parametrize(
    'data',
    [
        b'\r\n',
        b'x\r\n',
        b'-1\r\n',
        b'0x1\r\na',
        b'1_0\r\n',
        b'1' * 17 + b'\r\n',
        b'1' * 300 + b'\r\n',
        b'1\r\nab\r\n',
        b'0\r\n' + b'a: b\r\n' * MAX_TRAILERS + b'\r\n',
        b'0\r\n' + b'a' * 10000 + b'\r\n\r\n',
    ],
)
def test_malformed(data: bytes) -> None:
    with pytest.raises(errors.BadRequest) as caught:
        read_all(data)
    assert not isinstance(caught.value, errors.ShortBody)
