# SPDX-License-Identifier: GPL-2.0-or-later
"""The parsers of header fields, with the examples of RFC 9110."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.lfsserver import errors
from hgext3rd.lfsserver.http import fields

DATE = 'Sun, 09 Sep 2001 01:46:40 GMT'
SECONDS = 1e9


@pytest.mark.parametrize(
    'text, start, stop',
    [
        ('bytes=0-499', 0, 500),
        ('bytes=500-999', 500, 1000),
        ('bytes=-500', 9500, 10000),
        ('bytes=9500-', 9500, 10000),
        ('bytes = 0 - 0', 0, 1),
        ('bytes=0-99999', 0, 10000),
    ],
)
def test_byte_range(text: str, start: int, stop: int) -> None:
    span = fields.byte_range(text, 10000)
    assert span == fields.Span(start, stop)
    assert span.length == stop - start


@pytest.mark.parametrize(
    'text', [None, '', 'bytes=', 'bytes=-', 'bytes=2-1', 'x=1-2', 'bytes=0-,5-']
)
def test_byte_range_ignored(text: str | None) -> None:
    assert fields.byte_range(text, 10000) is None


@pytest.mark.parametrize(
    'text', ['bytes=10000-', 'bytes=-0', 'bytes=10000-20000']
)
def test_byte_range_outside(text: str) -> None:
    with pytest.raises(errors.RangeNotSatisfiable) as caught:
        fields.byte_range(text, 10000)
    assert caught.value.headers == {'Content-Range': 'bytes */10000'}


def test_byte_range_of_empty_content() -> None:
    with pytest.raises(errors.RangeNotSatisfiable):
        fields.byte_range('bytes=0-', 0)


@given(st.text(), st.integers(0, 2**63))
def test_byte_range_of_random_text(text: str, size: int) -> None:
    try:
        span = fields.byte_range('bytes=' + text, size)
    except errors.RangeNotSatisfiable:
        return
    assert span is None or 0 <= span.start < span.stop <= size


@pytest.mark.parametrize('text', ['', '-1', '1.0', '1 2', 'x', '٣', '1' * 20])
def test_invalid_content_length(text: str) -> None:
    with pytest.raises(errors.BadRequest):
        fields.content_length(text)


def test_content_length() -> None:
    assert fields.content_length(' 42 ') == 42


def test_conditions() -> None:
    assert fields.not_modified('"a", "b"', None, '"b"', SECONDS)
    assert not fields.not_modified('"a"', DATE, '"b"', SECONDS)
    assert fields.not_modified(None, DATE, '"b"', SECONDS)
    assert not fields.not_modified(None, DATE, '"b"', SECONDS + 1)
    assert not fields.not_modified(None, None, '"b"', SECONDS)
    assert fields.matches(None, None, '"b"', SECONDS)
    assert fields.matches('*', None, '"b"', SECONDS)
    assert not fields.matches('"a"', None, '"b"', SECONDS)
    assert not fields.matches(None, DATE, '"b"', SECONDS + 1)
    assert fields.range_applies(None, '"b"', SECONDS)
    assert fields.range_applies('"b"', '"b"', SECONDS)
    assert not fields.range_applies('W/"b"', '"b"', SECONDS)
    assert fields.range_applies(DATE, '"b"', SECONDS)
    assert not fields.range_applies('x', '"b"', SECONDS)
    assert fields.http_date(SECONDS) == DATE


@given(st.text(), st.text())
def test_random_fields(one: str, other: str) -> None:
    fields.not_modified(one, other, '"b"', SECONDS)
    fields.not_modified(None, other, '"b"', SECONDS)
    fields.matches(one, other, '"b"', SECONDS)
    fields.range_applies(one, '"b"', SECONDS)
    fields.accepts(one, other)
    fields.media_type(one)


@pytest.mark.parametrize(
    'text, result',
    [
        (None, True),
        (' ', True),
        ('a/b', True),
        ('A/B;charset=utf-8', True),
        ('text/html, a/*;q=0.5', True),
        ('*/*', True),
        ('x' * 2000, True),
        ('text/html', False),
        ('a/b;q=0', False),
        ('a/b;q=none', False),
    ],
)
def test_accepts(text: str | None, result: bool) -> None:
    assert fields.accepts(text, 'a/b') is result


def test_media_type() -> None:
    assert fields.media_type('A/B ; charset=x') == 'a/b'
    assert fields.media_type(None) == ''
