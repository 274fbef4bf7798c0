# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames that are being filled read like the stored frames they become."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from mercurial import mdiff

from hgext3rd.amalgam.codecs import chunks
from hgext3rd.sqlitestore.formats import frames, openframe, schema

# Texts, each with the entry to make a delta of (-1 for a full text).
histories = st.lists(
    st.tuples(st.binary(max_size=60), st.integers(-1, 5)),
    min_size=1,
    max_size=8,
)


def fill(history: list[tuple[bytes, int]]) -> openframe.OpenFrame:
    """Return an open frame with a revision for each text of ``history``."""
    frame = openframe.OpenFrame(7)
    for rev, (text, base) in enumerate(history):
        gid = schema.global_id(3, rev)
        if 0 <= base < rev:
            delta = mdiff.textdiff(history[base][0], text)
            assert frame.add(gid, delta, base) == rev
        else:
            assert frame.add(gid, text, None) == rev
    return frame


@given(histories)
def test_an_open_frame_has_the_texts_that_were_added(
    history: list[tuple[bytes, int]],
) -> None:
    frame = fill(history)
    for rev, (text, _base) in enumerate(history):
        place = frame.place(schema.global_id(3, rev))
        assert place == rev
        assert frame.text(place) == text
    assert frame.place(schema.global_id(4, 0)) is None


@given(histories)
def test_the_stored_frame_has_the_same_entries(
    history: list[tuple[bytes, int]],
) -> None:
    frame = fill(history)
    codec = chunks.Codec('zlib')
    data = b''.join(frames.encode_data(frame.entries, codec))
    stored = frames.Frame(frame.encode_head(codec), chunks.decode(data), 7)
    assert list(stored.paths) == frame.paths
    assert list(stored.revs) == frame.revs
    for n, (text, _base) in enumerate(history):
        assert stored.base(n) == frame.base(n)
        assert stored.entry(n) == frame.entry(n)
        assert stored.text(n) == text


def test_a_frame_is_full_when_it_holds_several_of_its_largest_texts() -> None:
    frame = openframe.OpenFrame(1)
    frame.add(schema.global_id(1, 0), b'x' * 100, None)
    assert not frame.is_full(50)
    for rev in range(1, openframe.TEXTS_PER_FRAME):
        frame.add(schema.global_id(1, rev), b'y' * 100, rev - 1)
    assert frame.is_full(50)
    assert not frame.is_full(1000)
