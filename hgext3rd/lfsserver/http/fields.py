# SPDX-License-Identifier: GPL-2.0-or-later
"""Parsers for HTTP header fields: ranges, conditions and media types.

All functions are pure; they take the text of a field and return values. This
module knows nothing of stores or of hgweb. Source of the grammar: RFC 9110.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime

from .. import errors

# Characters of the longest Range or Accept field that is parsed. Real clients
# send far shorter fields. A longer field is ignored, which RFC 9110 allows for
# both.
MAX_FIELD = 1024

_RANGE = re.compile(r'\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*\Z', re.ASCII)
_LENGTH = re.compile(r'\d{1,19}\Z', re.ASCII)
_ETAG = re.compile(r'(?:W/)?"[^"]*"')


@dataclass(frozen=True, slots=True)
class Span:
    """A range of bytes, from ``start`` to ``stop`` (exclusive)."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """The number of bytes."""
        return self.stop - self.start


def content_length(text: str) -> int:
    """Return the value of a Content-Length field.

    Raises BadRequest unless it is a plain decimal number.
    """
    if not _LENGTH.match(text.strip()):
        raise errors.BadRequest('Content-Length is not a number')
    return int(text)


def byte_range(text: str | None, size: int) -> Span | None:
    """Return the range that a Range field asks for, or None for everything.

    ``size`` is the number of bytes of the content. Several ranges at once,
    units other than bytes and malformed fields are ignored, as RFC 9110 allows
    (section 14.2). Raises RangeNotSatisfiable for a range outside the content.
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
            f'the range is outside the {size} bytes of the object',
            headers={'Content-Range': f'bytes */{size}'},
        )
    return Span(start, stop)


def _tags(text: str) -> set[str]:
    """Return the entity tags of a field, weak ones without their prefix."""
    return {tag.removeprefix('W/') for tag in _ETAG.findall(text)}


def not_modified(
    if_none_match: str | None,
    if_modified_since: str | None,
    etag: str,
    modified: float,
) -> bool:
    """Return whether a conditional GET is answered with status 304.

    ``etag`` includes its quotation marks; ``modified`` is a POSIX time.
    """
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
    """Return whether If-Match and If-Unmodified-Since allow a request.

    ``etag`` includes its quotation marks; ``modified`` is a POSIX time.
    """
    if if_match is not None:
        return if_match.strip() == '*' or etag in _tags(if_match)
    since = _seconds(if_unmodified_since)
    return since is None or int(modified) <= since


def range_applies(if_range: str | None, etag: str, modified: float) -> bool:
    """Return whether an If-Range field allows the Range field to be used.

    ``etag`` includes its quotation marks; ``modified`` is a POSIX time.
    """
    if if_range is None:
        return True
    if '"' in if_range:
        return if_range.strip() == etag
    since = _seconds(if_range)
    return since is not None and int(modified) == since


def _seconds(text: str | None) -> float | None:
    """Return an HTTP date as POSIX time; None if it is absent or malformed."""
    if not text:
        return None
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None


def http_date(seconds: float) -> str:
    """Return a POSIX time in the fixed-length date format of HTTP."""
    return formatdate(seconds, usegmt=True)


def media_type(text: str | None) -> str:
    """Return the lower-case type in a Content-Type field; no parameters."""
    return (text or '').partition(';')[0].strip().lower()


def _accepted(text: str) -> Iterator[tuple[str, float]]:
    """Yield the media ranges of an Accept field with their weights."""
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
    """Return whether an Accept field admits one of ``types``.

    A missing, empty or overlong field admits everything.
    """
    if not text or not text.strip() or len(text) > MAX_FIELD:
        return True
    wanted = {'*/*'}
    for name in types:
        wanted |= {name, name.partition('/')[0] + '/*'}
    return any(
        name in wanted and weight > 0 for name, weight in _accepted(text)
    )
