# SPDX-License-Identifier: GPL-2.0-or-later
"""CBOR: exact bytes, any chunking, and nothing but the protocol's subset."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.wireprotov2.proto import cbor
from hgext3rd.wireprotov2.proto.errors import CBORError, LimitError

# The keys of maps and members of sets. They include no booleans: True and 1 are
# the same key in Python.
keys = st.binary(max_size=30) | st.integers(-(2**64), 2**64 - 1)
scalars = keys | st.none() | st.booleans()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(keys, inner, max_size=5)
        | st.sets(keys, max_size=5)
    ),
    max_leaves=20,
)


def chunks_of(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut ``data`` at the given offsets."""
    edges = sorted({0, len(data), *(c % (len(data) + 1) for c in cuts)})
    return [data[a:b] for a, b in zip(edges, edges[1:], strict=False)]


@given(st.lists(values, max_size=5), st.lists(st.integers(0, 10**6)))
def test_decoding_does_not_depend_on_chunking(
    items: list[Any], cuts: list[int]
) -> None:
    data = b''.join(cbor.encode(item) for item in items)
    decoder = cbor.Decoder()
    found: list[Any] = []
    for chunk in chunks_of(data, cuts):
        found += decoder.feed(chunk)
    decoder.finish()
    assert found == items


@given(values)
def test_cbor2_decodes_our_encoding(value: Any) -> None:
    assert cbor2.loads(cbor.encode(value)) == value


@given(values)
def test_the_encoding_of_cbor2_is_decoded(value: Any) -> None:
    assert cbor.decode_all(cbor2.dumps(value)) == [value]


@given(st.binary(max_size=200), st.lists(st.integers(0, 10**6)))
def test_garbage_is_a_value_or_an_error(data: bytes, cuts: list[int]) -> None:
    decoder = cbor.Decoder(cbor.Limits(depth=4, items=100, size=1000))
    try:
        for chunk in chunks_of(data, cuts):
            decoder.feed(chunk)
        decoder.finish()
    except (CBORError, LimitError):
        pass


@given(
    st.lists(st.binary(max_size=40), max_size=6),
    st.lists(st.integers(0, 10**6)),
    st.booleans(),
)
def test_indefinite_bytestrings(
    chunks: list[bytes], cuts: list[int], chunked: bool
) -> None:
    data = b''.join(cbor.encode_indefinite_bytes(chunks))
    # Inside containers they are always joined.
    data += b'\x82' + data + data + b'\x00'
    decoder = cbor.Decoder(chunked=chunked)
    found: list[Any] = []
    for chunk in chunks_of(data, cuts):
        found += decoder.feed(chunk)
    decoder.finish()
    whole = b''.join(chunks)
    if chunked:
        parts = [v for v in found if isinstance(v, cbor.BytesChunk)]
        found = found[len(parts) :]
        assert b''.join(p.data for p in parts) == whole
        assert [p.first for p in parts] == [True] + [False] * (len(parts) - 1)
        assert [p.last for p in parts] == [False] * (len(parts) - 1) + [True]
    else:
        assert found.pop(0) == whole
    assert found == [[whole, whole], 0]


@pytest.mark.parametrize(
    ('value', 'expected'),
    [
        (0, b'\x00'),
        (23, b'\x17'),
        (24, b'\x18\x18'),
        (255, b'\x18\xff'),
        (256, b'\x19\x01\x00'),
        (65536, b'\x1a\x00\x01\x00\x00'),
        (2**32, b'\x1b\x00\x00\x00\x01\x00\x00\x00\x00'),
        (-1, b'\x20'),
        (-(2**64), b'\x3b' + b'\xff' * 8),
        (b'', b'\x40'),
        (b'a' * 24, b'\x58\x18' + b'a' * 24),
        (bytearray(b'ab'), b'\x42ab'),
        (memoryview(b'ab'), b'\x42ab'),
        ((1, 2), b'\x82\x01\x02'),
        (None, b'\xf6'),
        (True, b'\xf5'),
        (False, b'\xf4'),
        # Keys are sorted by value, not by encoded length.
        ({b'b': 1, b'aa': 2}, b'\xa2\x42aa\x02\x41b\x01'),
        ({b'b', b'aa'}, b'\xd9\x01\x02\x82\x42aa\x41b'),
        (frozenset(), b'\xd9\x01\x02\x80'),
        # Mixed types are sorted by type first.
        ({1, b'a'}, b'\xd9\x01\x02\x82\x41a\x01'),
    ],
)
def test_exact_bytes(value: Any, expected: bytes) -> None:
    assert cbor.encode(value) == expected


@pytest.mark.parametrize('value', [1.5, 'text', object(), 2**64, -(2**64) - 1])
def test_values_without_encoding(value: Any) -> None:
    with pytest.raises(CBORError):
        cbor.encode(value)


@pytest.mark.parametrize(
    'data',
    [
        b'\x61a',  # a text string
        b'\x7f\xff',  # an indefinite one
        b'\x9f\xff',  # an indefinite array
        b'\xbf\xff',  # an indefinite map
        b'\xff',  # a break without a beginning
        b'\x1c',  # reserved lengths
        b'\x5e',
        b'\xf7',  # undefined
        b'\xe0',  # a simple value
        b'\xf8\x20',
        b'\xf9\x00\x00',  # floats
        b'\xfb' + b'\0' * 8,
        b'\xc0\x00',  # other tags
        b'\xd9\x01\x03\x80',
        b'\xd9\x01\x02\xd9\x01\x02\x80',  # a set tag twice
        b'\xd9\x01\x02\x00',  # ... on other types
        b'\xd9\x01\x02\x41a',
        b'\xd9\x01\x02\xa0',
        b'\xd9\x01\x02\x5f\xff',
        b'\xd9\x01\x02\xf6',
        b'\xa1\x80\x00',  # containers as keys and members
        b'\xa1\xa0\x00',
        b'\xd9\x01\x02\x81\xd9\x01\x02\x80',
        b'\xa2\x01\x00\x01\x00',  # repeated ones
        b'\xd9\x01\x02\x82\x01\x01',
        b'\xd9\x01\x02\x82\x01\xf5',  # equal to Python
        b'\x5f\x00\xff',  # other values inside a bytestring
        b'\x5f\x5f\xff\xff',
    ],
)
def test_data_outside_the_subset(data: bytes) -> None:
    with pytest.raises(CBORError):
        cbor.decode_all(data)


@pytest.mark.parametrize(
    'data',
    [
        b'\x18',
        b'\x19\x00',
        b'\x42a',
        b'\x81',
        b'\xa1\x00',
        b'\xd9\x01\x02',
        b'\x5f',
        b'\x5f\x42a',
    ],
)
def test_truncated_data(data: bytes) -> None:
    decoder = cbor.Decoder()
    assert decoder.feed(data) == []
    assert decoder.pending
    with pytest.raises(CBORError):
        decoder.finish()


def test_no_data_is_no_value() -> None:
    decoder = cbor.Decoder()
    assert decoder.feed(b'') == []
    assert not decoder.pending
    decoder.finish()


def test_limit_of_depth() -> None:
    limits = cbor.Limits(depth=3)
    assert cbor.decode_all(b'\x81\x81\x81\x00', limits) == [[[[0]]]]
    with pytest.raises(LimitError) as e:
        cbor.decode_all(b'\x81\x81\x81\x81\x00', limits)
    assert e.value.limit == 'depth'


def test_limit_of_items() -> None:
    limits = cbor.Limits(items=4)
    assert cbor.decode_all(b'\x82\x00\x00' * 9, limits) == [[0, 0]] * 9
    # The announced number is too large.
    with pytest.raises(LimitError) as e:
        cbor.decode_all(b'\x9a\xff\xff\xff\xff', limits)
    assert e.value.limit == 'items'
    # The sum is too large.
    with pytest.raises(LimitError):
        cbor.decode_all(b'\x83\x82\x00\x00\x82\x00\x00\x00', limits)
    with pytest.raises(LimitError):
        cbor.decode_all(b'\x82\x80\x82\x00\x00', limits)


def test_limit_of_size() -> None:
    limits = cbor.Limits(size=10)
    assert cbor.decode_all(b'\x49' + b'a' * 9, limits) == [b'a' * 9]
    # The announced size is refused before the bytes arrive.
    with pytest.raises(LimitError) as e:
        cbor.Decoder(limits).feed(b'\x4a')
    assert e.value.limit == 'size'
    with pytest.raises(LimitError):
        cbor.decode_all(b'\x82\x44aaaa\x44aaaa', limits)
    with pytest.raises(LimitError):
        cbor.decode_all(b'\x5f\x44aaaa\x44aaaa\xff', limits)
    decoder = cbor.Decoder(limits)
    decoder.feed(b'\x8c' + b'\0' * 9)
    with pytest.raises(LimitError):
        decoder.feed(b'\0' * 1)
    # Chunks that were returned do not count; at most two are held.
    limits = cbor.Limits(size=12)
    chunks = cbor.decode_all(b'\x5f' + b'\x44aaaa' * 9 + b'\xff', limits, True)
    assert len(chunks) == 9


def test_an_empty_indefinite_bytestring_is_one_chunk() -> None:
    assert cbor.decode_all(b'\x5f\xff', chunked=True) == [
        cbor.BytesChunk(b'', True, True)
    ]


def test_head_of_a_bytestring() -> None:
    assert cbor.head(cbor.BYTES, 300) == b'\x59\x01\x2c'
