# SPDX-License-Identifier: GPL-2.0-or-later
"""Content encodings: round trips in chunks of any size, bombs, broken data."""

from __future__ import annotations

import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.wireprotov2.proto import streams
from hgext3rd.wireprotov2.proto.errors import LimitError, StreamError

names = pytest.mark.parametrize('name', sorted(streams.PROFILES))
compressing = pytest.mark.parametrize('name', [b'zlib', b'zstd-8mb'])


@names
@given(parts=st.lists(st.binary(max_size=200), max_size=6))
def test_each_flush_can_be_decoded(name: bytes, parts: list[bytes]) -> None:
    encoder = streams.PROFILES[name].encoder()
    decoder = streams.make_decoder(name)
    for part in parts:
        assert decoder.decode(encoder.encode(part) + encoder.flush()) == part
    assert decoder.decode(encoder.finish()) == b''


@names
@given(
    parts=st.lists(st.binary(max_size=200), max_size=6),
    size=st.integers(1, 50),
)
def test_decoding_does_not_depend_on_chunking(
    name: bytes, parts: list[bytes], size: int
) -> None:
    data = b''.join(streams.encoded(parts, name))
    decoder = streams.make_decoder(name)
    decoded = b''.join(
        decoder.decode(data[i : i + size]) for i in range(0, len(data), size)
    )
    assert decoded == b''.join(parts)


@names
def test_large_streams_round_trip(name: bytes) -> None:
    part = bytes(range(256)) * 4096
    data = list(streams.encoded([part] * 8, name))
    decoder = streams.make_decoder(name)
    assert b''.join(map(decoder.decode, data)) == part * 8


def test_zstd_needs_a_window_of_8_mb_at_most() -> None:
    data = b''.join(streams.encoded([bytes(2**20)] * 20, b'zstd-8mb'))
    assert zstandard.get_frame_parameters(data).window_size <= 2**23
    compressor = streams.zstd_compressor(22).compressobj()
    data = compressor.compress(bytes(2**20)) + compressor.flush()
    assert zstandard.get_frame_parameters(data).window_size <= 2**23
    too_large = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=27)
    ).compressobj()
    data = too_large.compress(b'a') + too_large.flush()
    with pytest.raises(StreamError):
        streams.make_decoder(b'zstd-8mb').decode(data)


@compressing
def test_bombs_end_at_the_limit(name: bytes) -> None:
    data = b''.join(streams.encoded([bytes(2**20)] * 32, name))
    assert len(data) < 65536
    with pytest.raises(LimitError) as e:
        streams.make_decoder(name, limit=2**21).decode(data)
    assert e.value.limit == 'decoded-size'
    # The limit applies to each wire frame, not to the whole stream.
    decoder = streams.make_decoder(name, limit=2**25)
    assert len(decoder.decode(data)) == 2**25


@compressing
def test_broken_data(name: bytes) -> None:
    with pytest.raises(StreamError):
        streams.make_decoder(name).decode(b'this is not compressed')


def test_nothing_follows_the_end_of_zlib_data() -> None:
    data = zlib.compress(b'abc')
    with pytest.raises(StreamError):
        streams.make_decoder(b'zlib').decode(data + b'x')
    decoder = streams.make_decoder(b'zlib')
    assert decoder.decode(data) == b'abc'
    assert decoder.decode(b'') == b''
    with pytest.raises(StreamError):
        decoder.decode(b'x')


@pytest.mark.parametrize('name', [b'brotli', b'', None, 5, [b'zlib']])
def test_unknown_encodings(name: object) -> None:
    with pytest.raises(StreamError):
        streams.make_decoder(name)


def test_encodings_have_no_parameters() -> None:
    with pytest.raises(StreamError):
        streams.make_decoder(b'zlib', [9])


def test_choice_follows_the_order_of_the_server() -> None:
    ours = (b'zstd-8mb', b'zlib', b'identity')
    assert streams.choose(ours, [b'identity', b'zlib']) == b'zlib'
    assert streams.choose(ours, [b'zlib', b'zstd-8mb']) == b'zstd-8mb'
    assert streams.choose(ours, [b'lzma']) == b'identity'
    assert streams.choose((b'identity',), ours) == b'identity'
