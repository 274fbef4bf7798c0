# SPDX-License-Identifier: GPL-2.0-or-later
"""Encoding revisions as the bundle2 stream that ``getbundle`` answers.

So Mercurial applies version 2 responses as it applies any bundle, with its
transactions, hooks, messages and progress, and with the temporary repository of
``hg incoming``. The formats are specified in ``hg help internals.bundle2`` and
``hg help internals.changegroups``. Bundle2's own writer is not used: when its
source fails, it writes an error that looks like one reported by the server, but
callers need the failure itself. Takes records, gives bytes; does no I/O.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping

from mercurial.revlogutils import flagutil

from .records import RevisionRecord

MAGIC = b'HG20'

# The size of the chunks of a part's payload. It is that of a network read, so
# that neither side spends its time on four-byte headers.
BLOCK = 65536

_INT = struct.Struct('>i')
_END = _INT.pack(0)
_HEADER_02 = struct.Struct('>l20s20s20s20s20s')
_HEADER_03 = struct.Struct('>l20s20s20s20s20sH')

# Mercurial's flag REVIDX_ISCENSORED. The data of a censored revision says so,
# too, which is what changegroup 02 relies on.
_CENSORED = 1 << 15


def start() -> bytes:
    """Return the beginning of a stream without compression or parameters."""
    return MAGIC + _END


def end() -> bytes:
    """Return the end of a stream."""
    return _END


def part(
    partid: int,
    name: bytes,
    payload: Iterable[bytes],
    params: Mapping[bytes, bytes] | None = None,
    advisory: Mapping[bytes, bytes] | None = None,
) -> Iterator[bytes]:
    """Yield the bytes of a part.

    The part is mandatory if ``name`` is in capitals. ``params`` are its
    mandatory parameters, ``advisory`` the others.
    """
    params = params or {}
    advisory = advisory or {}
    pairs = [*params.items(), *advisory.items()]
    header = b''.join(
        [
            struct.pack('>B', len(name)),
            name,
            struct.pack('>IBB', partid, len(params), len(advisory)),
            *(struct.pack('>BB', len(k), len(v)) for k, v in pairs),
            *(k + v for k, v in pairs),
        ]
    )
    yield _INT.pack(len(header)) + header
    for block in _blocks(payload):
        yield _INT.pack(len(block))
        yield block
    yield _END


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield ``chunks`` joined to larger ones.

    Empty chunks are left out, because an empty chunk ends a part.
    """
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= BLOCK:
            yield b''.join(held)
            held.clear()
            size = 0
    if size:
        yield b''.join(held)


# -- changegroups


def close_group() -> bytes:
    """Return the empty chunk that ends a group, or a list of groups."""
    return _END


def revision(record: RevisionRecord, linknode: bytes, version: bytes) -> bytes:
    """Return the chunk of a revision.

    Raises ``ValueError`` for flags that Mercurial does not know, or that the
    changegroup ``version`` cannot hold.
    """
    node, p1, p2, _link, base, delta, flags = record
    if flags & ~flagutil.REVIDX_KNOWN_FLAGS:
        # hg <= 7.0 notices them when it is too late for a clear error.
        raise ValueError('unknown flags')
    if version == b'03':
        size = _HEADER_03.size + len(delta)
        return (
            _HEADER_03.pack(size, node, p1, p2, base, linknode, flags) + delta
        )
    if flags & ~_CENSORED:
        raise ValueError('changegroup 02 has no flags')
    size = _HEADER_02.size + len(delta)
    return _HEADER_02.pack(size, node, p1, p2, base, linknode) + delta


def file_header(path: bytes) -> bytes:
    """Return the chunk that begins the group of a file."""
    return _INT.pack(len(path) + 4) + path


def after_manifests(version: bytes) -> bytes:
    """Return the bytes between the manifests and the files."""
    # Version 03 has a list of directory manifests there, which is empty.
    return _END + _END if version == b'03' else _END


# -- other parts


def bookmarks(marks: Mapping[bytes, bytes]) -> bytes:
    """Return the payload of a bookmarks part; ``marks`` maps names to nodes."""
    return b''.join(
        struct.pack('>20sH', node, len(name)) + name
        for name, node in sorted(marks.items())
    )


def listkeys(keys: Mapping[bytes, bytes]) -> bytes:
    """Return the payload of a listkeys part."""
    return b'\n'.join(b'%s\t%s' % pair for pair in sorted(keys.items()))
