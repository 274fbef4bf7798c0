# SPDX-License-Identifier: GPL-2.0-or-later
"""The node of a text that enters the store, and texts of collision attacks."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip('mercurial')

from mercurial.utils import hashutil, storageutil

from hgext3rd.sqlitestore.writing import hashing

NULL = b'\0' * 20
ONE, TWO = hashlib.sha1(b'1').digest(), hashlib.sha1(b'2').digest()

#: Whether Mercurial was built with the function that detects attacks.
DETECTS = hashutil.sha1 is not hashlib.sha1

# The published SHAttered collision (https://shattered.io): 192 bytes that both
# files begin with, and the two near-collision blocks of each.
PREFIX = bytes.fromhex(
    '255044462d312e330a25e2e3cfd30a0a0a312030206f626a0a3c3c2f57696474'
    '682032203020522f4865696768742033203020522f547970652034203020522f'
    '537562747970652035203020522f46696c7465722036203020522f436f6c6f72'
    '53706163652037203020522f4c656e6774682038203020522f42697473506572'
    '436f6d706f6e656e7420383e3e0a73747265616d0affd8fffe00245348412d31'
    '20697320646561642121212121852fec092339759c39b1a1c63c4c97e1fffe01'
)
BLOCKS = (
    bytes.fromhex(
        '7f46dc93a6b67e013b029aaa1db2560b45ca67d688c7f84b8c4c791fe02b3df6'
        '14f86db1690901c56b45c1530afedfb76038e972722fe7ad728f0e4904e046c2'
        '30570fe9d41398abe12ef5bc942be33542a4802d98b5d70f2a332ec37fac3514'
        'e74ddc0f2cc1a874cd0c78305a21566461309789606bd0bf3f98cda8044629a1'
    ),
    bytes.fromhex(
        '7346dc9166b67e118f029ab621b2560ff9ca67cca8c7f85ba84c79030c2b3de2'
        '18f86db3a90901d5df45c14f26fedfb3dc38e96ac22fe7bd728f0e45bce046d2'
        '3c570feb141398bb552ef5a0a82be331fea48037b8b5d71f0e332edf93ac3500'
        'eb4ddc0decc1a864790c782c76215660dd309791d06bd0af3f98cda4bc4629b1'
    ),
)


class First(bytes):
    """A node that is hashed before every other one.

    The blocks of SHAttered collide only after their prefix. Its first 40 bytes
    are not in the order in which the nodes of two parents are hashed.
    """

    def __lt__(self, other: object) -> bool:
        return True


@given(
    st.binary(max_size=64),
    st.integers(0, 2 * hashing.SMALL),
    st.sampled_from([b'a', b'\n', b'\x7f', b'\x80', b'\xff']),
    st.sampled_from([(NULL, NULL), (ONE, NULL), (NULL, ONE), (ONE, TWO)]),
    st.booleans(),
)
def test_nodes_are_those_of_core(
    head: bytes,
    size: int,
    fill: bytes,
    parents: tuple[bytes, bytes],
    last: bool,
) -> None:
    text = b'x' * size + head if last else head + fill * size
    for p1, p2 in (parents, parents[::-1]):
        expected = hashlib.sha1(min(p1, p2) + max(p1, p2) + text).digest()
        assert hashing.node_of(text, p1, p2) == expected


@pytest.mark.skipif(not DETECTS, reason='Mercurial was built without sha1dc')
@pytest.mark.parametrize('blocks', BLOCKS)
@pytest.mark.parametrize('end', [b'', b'more\n' * 1000])
def test_attack_is_refused_as_core_refuses_it(
    blocks: bytes, end: bytes
) -> None:
    whole = PREFIX + blocks + end
    first, second, text = First(whole[:20]), whole[20:40], whole[40:]
    for function in (storageutil.hashrevisionsha1, hashing.node_of):
        with pytest.raises(OverflowError, match='collision attack detected'):
            function(text, first, second)


def test_blocks_of_the_attack_collide() -> None:
    one, other = (hashlib.sha1(PREFIX + blocks).digest() for blocks in BLOCKS)
    assert one == other


@pytest.mark.parametrize('place', [0, 23, 24, 25, 5000, -1])
def test_text_that_is_not_ascii_is_examined(
    place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    examined = []

    def examine(text: bytes, p1: bytes, p2: bytes) -> bytes:
        examined.append(text)
        return ONE

    monkeypatch.setattr(storageutil, 'hashrevisionsha1', examine)
    text = bytearray(b'a' * 10000)
    assert hashing.node_of(bytes(text), NULL, NULL) != ONE
    assert not examined
    text[place] = 0x80
    assert hashing.node_of(bytes(text), NULL, NULL) == ONE
    assert examined == [text]


def test_first_block_of_ascii_text_is_examined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = bytes(range(100)) * 100
    examined = []

    def detect(data: bytes) -> object:
        examined.append(data)
        raise OverflowError('collision')

    monkeypatch.setattr(hashutil, 'sha1', detect)
    with pytest.raises(OverflowError, match='collision'):
        hashing.node_of(text, TWO, ONE)
    assert examined == [min(ONE, TWO) + max(ONE, TWO) + text[:24]]


def test_other_hash_of_first_block_is_left_to_core(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A function may give the text of an attack another hash."""
    monkeypatch.setattr(hashutil, 'sha1', hashlib.sha256)
    monkeypatch.setattr(
        storageutil, 'hashrevisionsha1', lambda text, p1, p2: TWO
    )
    assert hashing.node_of(b'a' * 10000, NULL, NULL) == TWO
