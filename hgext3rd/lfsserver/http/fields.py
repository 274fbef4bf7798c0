# SPDX-License-Identifier: GPL-2.0-or-later
"""Header fields of HTTP, parsed: pure functions from text to values.

Ranges, conditions, media types.  RFC 9110 is the source of the grammar; knows
nothing of LFS stores or of hgweb.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime

from .. import errors

# Longest Range or Accept field looked at.  A longer one is no honest request;
# it is treated as absent, which for both fields is always a valid answer.
MAX_FIELD = 1024

_RANGE = re.compile(r'\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*\Z', re.ASCII)
_LENGTH = re.compile(r'\d{1,19}\Z', re.ASCII)
_ETAG = re.compile(r'(?:W/)?"[^"]*"')


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes ``start`` to ``stop`` (exclusive) of something."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start


def content_length(text: str) -> int:
    """The value of Content-Length; BadRequest unless it is a plain number."""
    if not _LENGTH.match(text.strip()):
        raise errors.BadRequest('Content-Length is not a number')
    return int(text)


def byte_range(text: str | None, size: int) -> Span | None:
    """The part of ``size`` bytes a Range field asks for, None for all of it.

    Several ranges at once, other units and nonsense are ignored, as a server
    may; a range outside of the content raises RangeNotSatisfiable.
    """
    if not text or len(text) > MAX_FIELD:
        return None
    match = _RANGE.match(text)
    if match is None:
        return None
    first, last = match.groups()
    if first:
        start = int(first)
        stop = min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    elif last:
        start = max(size - int(last), 0)
        stop = size
    else:
        return None
    if start >= stop:
        raise errors.RangeNotSatisfiable(
            f'the range is outside of the {size} bytes of the object',
            headers={'Content-Range': f'bytes */{size}'},
        )
    return Span(start, stop)


def _tags(text: str) -> set[str]:
    return {tag.removeprefix('W/') for tag in _ETAG.findall(text)}


def not_modified(
    if_none_match: str | None,
    if_modified_since: str | None,
    etag: str,
    modified: float,
) -> bool:
    """Whether a conditional GET is answered with 304."""
    if if_none_match is not None:
        return if_none_match.strip() == '*' or etag in _tags(if_none_match)
    since = _seconds(if_modified_since)
    return since is not None and int(modified) <= since


def matches(
    if_match: str | None,
    if_unmodified_since: str | None,
    etag: str,
    modified: float,
) -> bool:
    """Whether the conditions that guard against other content hold."""
    if if_match is not None:
        return if_match.strip() == '*' or etag in _tags(if_match)
    since = _seconds(if_unmodified_since)
    return since is None or int(modified) <= since


def range_applies(if_range: str | None, etag: str, modified: float) -> bool:
    """Whether an If-Range field lets the Range field count."""
    if if_range is None:
        return True
    if '"' in if_range:
        return if_range.strip() == etag
    since = _seconds(if_range)
    return since is not None and int(modified) == since


def _seconds(text: str | None) -> float | None:
    if not text:
        return None
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None


def http_date(seconds: float) -> str:
    """A POSIX time as the fixed-length date of HTTP."""
    return formatdate(seconds, usegmt=True)


def media_type(text: str | None) -> str:
    """The type of a Content-Type field, without its parameters."""
    return (text or '').partition(';')[0].strip().lower()


def _accepted(text: str) -> Iterator[tuple[str, float]]:
    for element in text.split(','):
        name, _sep, parameters = element.partition(';')
        weight = 1.0
        for parameter in parameters.split(';'):
            key, _sep, value = parameter.partition('=')
            if key.strip().lower() == 'q':
                try:
                    weight = float(value)
                except ValueError:
                    weight = 0.0
        yield name.strip().lower(), weight


def accepts(text: str | None, *types: str) -> bool:
    """Whether an Accept field admits one of ``types``; a missing one does."""
    if not text or not text.strip() or len(text) > MAX_FIELD:
        return True
    wanted = {'*/*'}
    for name in types:
        wanted |= {name, name.partition('/')[0] + '/*'}
    return any(
        name in wanted and weight > 0 for name, weight in _accepted(text)
    )
