# SPDX-License-Identifier: GPL-2.0-or-later
"""The bytes of one cache entry: a fixed header, then the body.

Knows neither what a body means nor where entries are kept. The header names the
key of the entry, so that bytes under a wrong name are noticed. It has two
digests of the body: every hit checks the CRC-32, which takes a fifth of the
time of SHA-256; redirected clients check the SHA-256.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass

MAGIC = b'AMGC'
#: Increase it when the layout of header or body changes. An entry of another
#: version is a miss.
VERSION = 1
#: Magic, version, quality, size of the body, CRC-32, key, SHA-256.
_HEADER = struct.Struct('>4sBBxxQI20s32s')
HEADER_SIZE = _HEADER.size


class EntryError(ValueError):
    """The bytes are not a whole entry of this version for this key.

    ``str()`` says what is wrong.
    """


@dataclass(frozen=True, slots=True)
class Header:
    """What is known about a body without reading it.

    ``quality`` (0 to 255) orders the entries of one key by how hard they were
    compressed; those made for a request have 0. ``size`` is that of the body,
    in bytes.
    """

    quality: int
    size: int
    crc32: int
    key: bytes
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """A body with its header; ``body`` is a view into the stored bytes."""

    header: Header
    body: memoryview


def encode(key: bytes, body: bytes, quality: int = 0) -> bytes:
    """Return the entry that holds ``body`` under ``key`` (40 hex digits)."""
    header = _HEADER.pack(
        MAGIC,
        VERSION,
        quality,
        len(body),
        zlib.crc32(body),
        bytes.fromhex(key.decode('ascii')),
        hashlib.sha256(body).digest(),
    )
    return header + body


def decode_header(key: bytes, data: bytes | memoryview) -> Header:
    """Return the header at the start of ``data``.

    Raises ``EntryError`` if the header is missing, or is of another version or
    key.
    """
    if len(data) < HEADER_SIZE:
        raise EntryError('entry is cut short')
    magic, version, quality, size, crc, owner, sha256 = _HEADER.unpack_from(
        data
    )
    if magic != MAGIC:
        raise EntryError('not a cache entry')
    if version != VERSION:
        raise EntryError(f'entry has unknown version {version}')
    if owner.hex().encode('ascii') != key:
        raise EntryError('entry belongs to another key')
    return Header(quality, size, crc, key, sha256)


def decode(key: bytes, data: bytes) -> Entry:
    """Return the entry in ``data`` after checking its body.

    Raises ``EntryError`` for anything but exactly one sound entry.
    """
    header = decode_header(key, data)
    body = memoryview(data)[HEADER_SIZE:]
    if len(body) != header.size:
        raise EntryError('entry has the wrong length')
    if zlib.crc32(body) != header.crc32:
        raise EntryError('entry is corrupt')
    return Entry(header, body)
