# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading changesets, manifests and files from the values of a response.

Checks everything a server may get wrong before it reaches the storage: types,
lengths and counts. Takes iterators of decoded values, gives iterators of
records; knows neither wire frames nor repositories. Every function raises
``CBORError`` for malformed values.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..proto.errors import CBORError

NODE_SIZE = 20
NULL_ID = b'\0' * NODE_SIZE

# The most values of a response that carry no revision. The client requests none
# of them; the limit stops a server that sends them forever.
MAX_SKIPPED = 100_000

# The header of a delta (see ``mdiff``): start, end, size of the new text.
_FULLTEXT = struct.Struct('>lll')

#: The bytes in front of a full text in the form of a delta, see ``whole``.
FULLTEXT_HEADER = _FULLTEXT.size

# What is stored for a file revision without data: an empty text, and the flag
# REVIDX_EXTSTORED of Mercurial (see ``shallow.storage``).
_NOTHING = _FULLTEXT.pack(0, 0, 0)
_ABSENT = 1 << 13


class RevisionRecord(NamedTuple):
    """A revision as a response describes it.

    ``base`` is the node that ``delta`` applies to; a full text is given as a
    delta against the null revision. ``linknode`` is None where the command has
    no such field.
    """

    node: bytes
    p1: bytes
    p2: bytes
    linknode: bytes | None
    base: bytes
    delta: bytes
    flags: int


def _wrong(what: bytes) -> CBORError:
    """Return the error for a response that is malformed in ``what``."""
    return CBORError(b'malformed response: %s' % what)


def count(value: Any, key: bytes) -> int:
    """Return ``value[key]``, which must be an integer of at least 0."""
    number = value.get(key) if isinstance(value, dict) else None
    if type(number) is not int or number < 0:
        raise _wrong(b'%s is missing' % key)
    return number


def header(values: Iterator[Any], key: bytes = b'totalitems') -> int:
    """Read the first value of a response; return the count named ``key``."""
    return count(_next(values), key)


def _next(values: Iterator[Any]) -> Any:
    for value in values:
        return value
    raise _wrong(b'it ends too early')


def _is_node(value: Any) -> bool:
    return type(value) is bytes and len(value) == NODE_SIZE


def _fields(value: dict[bytes, Any], values: Iterator[Any]) -> dict[bytes, Any]:
    """Read the fields of a revision, which follow its map ``value``."""
    found = {}
    following = value.get(b'fieldsfollowing')
    if type(following) is not list:
        raise _wrong(b'a revision has no data')
    for pair in following:
        if type(pair) is not list or len(pair) != 2:
            raise _wrong(b'fieldsfollowing')
        name, size = pair
        data = _next(values)
        if type(data) is not bytes or len(data) != size or name in found:
            raise _wrong(b'a field is not what was announced')
        found[name] = data
    return found


def _parents(value: dict[bytes, Any]) -> tuple[bytes, bytes]:
    parents = value.get(b'parents')
    if (
        type(parents) is not list
        or len(parents) != 2
        or not _is_node(parents[0])
        or not _is_node(parents[1])
    ):
        raise _wrong(b'parents')
    return parents[0], parents[1]


def changesets(values: Iterator[Any], total: int) -> Iterator[RevisionRecord]:
    """Yield the ``total`` changesets after the header; check that no more come.

    Skips values that only tell bookmarks or phases of other changesets.
    """
    skipped = 0
    for value in values:
        if type(value) is not dict or not _is_node(value.get(b'node')):
            raise _wrong(b'a changeset has no node')
        if b'fieldsfollowing' not in value:
            skipped += 1
            if skipped > MAX_SKIPPED:
                raise _wrong(b'it holds more than announced')
            continue
        total -= 1
        if total < 0:
            raise _wrong(b'more changesets than announced')
        node = value[b'node']
        p1, p2 = _parents(value)
        text = _fields(value, values).get(b'revision')
        if text is None:
            raise _wrong(b'a changeset has no text')
        yield RevisionRecord(node, p1, p2, node, NULL_ID, whole(text), 0)
    if total:
        raise _wrong(b'fewer changesets than announced')


def heads(values: Iterator[Any]) -> list[bytes]:
    """Read a response to ``heads``; return no heads for an empty repository."""
    found = _next(values)
    if type(found) is not list or not all(map(_is_node, found)):
        raise _wrong(b'heads')
    end(values)
    return [node for node in found if node != NULL_ID]


def graph(
    values: Iterator[Any], total: int
) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield node and parents of ``total`` changesets that came without text."""
    for _index in range(total):
        value = _next(values)
        if type(value) is not dict or not _is_node(value.get(b'node')):
            raise _wrong(b'a changeset has no node')
        yield (value[b'node'], *_parents(value))
    end(values)


def whole(text: bytes) -> bytes:
    """Return ``text`` as a delta against the null revision."""
    return _FULLTEXT.pack(0, 0, len(text)) + text


def revisions(
    values: Iterator[Any], total: int, bare: bool = False
) -> Iterator[RevisionRecord]:
    """Yield ``total`` revisions of a manifest or file.

    Leaves the values that follow unread. ``bare`` revisions were requested
    without their data, and get a record that stores them without data.
    """
    for _index in range(total):
        value = _next(values)
        if type(value) is not dict or not _is_node(value.get(b'node')):
            raise _wrong(b'a revision has no node')
        p1, p2 = _parents(value)
        linknode = value.get(b'linknode')
        if linknode is not None and not _is_node(linknode):
            raise _wrong(b'linknode')
        flags = value.get(b'flags', 0)
        if type(flags) is not int or not 0 <= flags <= 0xFFFF:
            raise _wrong(b'flags')
        if bare:
            if b'fieldsfollowing' in value:
                raise _wrong(b'data that was not asked for')
            yield RevisionRecord(
                value[b'node'], p1, p2, linknode, NULL_ID, _NOTHING, _ABSENT
            )
            continue
        found = _fields(value, values)
        delta = found.get(b'delta')
        if delta is not None:
            base = value.get(b'deltabasenode', b'')
            if not _is_node(base):
                raise _wrong(b'a delta has no base')
        else:
            text = found.get(b'revision')
            if text is None:
                raise _wrong(b'a revision has no data')
            base = NULL_ID
            delta = whole(text)
        yield RevisionRecord(
            value[b'node'], p1, p2, linknode, base, delta, flags
        )


def files(
    values: Iterator[Any], paths: int, bare: bool = False
) -> Iterator[tuple[bytes, Iterator[RevisionRecord]]]:
    """Yield pairs of a path and its revisions; ``paths`` is their number.

    Read the revisions of a file before the next file is requested.
    """
    seen = set()
    for _index in range(paths):
        value = _next(values)
        total = count(value, b'totalitems')
        path = value.get(b'path')
        if type(path) is not bytes or not path or path in seen:
            raise _wrong(b'a file has no path of its own')
        seen.add(path)
        yield path, revisions(values, total, bare)


def end(values: Iterator[Any]) -> None:
    """Check that a response has ended."""
    for _value in values:
        raise _wrong(b'it holds more than announced')
