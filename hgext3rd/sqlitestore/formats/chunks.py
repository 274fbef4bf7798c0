# SPDX-License-Identifier: GPL-2.0-or-later
"""Encode and decode the bytes stored in the database.

A chunk says by its first byte how it is encoded, as revlog chunks do, so that
one repository may mix encodings (a chunk that does not shrink is stored as it
is, and ``storage.sqlite.compression`` may change over time):

======  =====================================================
byte    meaning
======  =====================================================
(none)  the empty string
``(``   a zstd frame, which always begins with this byte
``x``   a zlib stream, which always begins with this byte
``u``   everything after this byte, uncompressed
======  =====================================================

Knows neither SQLite nor Mercurial, but for the zstd library in there.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Any

RAW = b'u'
ZLIB = b'x'
ZSTD = b'('

NAMES = ('zstd', 'zlib', 'none')

# Compression levels. One revision at commit: the delta is small and a person
# waits. A sealed frame is written once, read often.
LOOSE_LEVEL = 3
FRAME_LEVEL = 6
REPACK_LEVEL = 16
MAX_LEVEL = 19

# Smaller inputs never win back the header of a compressed stream.
_TINY = 40


class ChunkError(ValueError):
    """A chunk does not decode."""


class Codec:
    """Compresses with one engine at one level; decompresses everything.

    ``name`` is one of ``NAMES``; ``level`` a zstd level (zlib's is derived).
    Not thread-safe: one instance belongs to one thread.
    """

    def __init__(self, name: str, level: int = LOOSE_LEVEL) -> None:
        if name not in NAMES:
            raise ValueError(name)
        self.name = name
        self.level = level
        self._zstd: Any = None

    def encode(self, data: bytes) -> bytes:
        """``data`` as a chunk, raw when compression does not pay."""
        if not data:
            return b''
        packed = data
        if len(data) > _TINY:
            if self.name == 'zstd':
                packed = self._compressor().compress(data)
            elif self.name == 'zlib':
                packed = zlib.compress(data, min(9, max(1, self.level)))
        if len(packed) <= len(data) and packed is not data:
            return packed
        return RAW + data

    def encode_stream(
        self, parts: Iterable[bytes], size: int, piece: int
    ) -> Iterator[bytes]:
        """Encode ``parts`` (``size`` bytes in all) as pieces of one chunk.

        Pieces are of about ``piece`` bytes; their concatenation is a chunk.
        Used where one compressed bytes object would be too large.
        """
        pending: list[bytes] = []
        held = 0
        for part in self._stream(parts, size):
            view = memoryview(part)
            while view:
                take = view[: piece - held]
                pending.append(bytes(take))
                held += len(take)
                view = view[len(take) :]
                if held >= piece:
                    yield b''.join(pending)
                    pending, held = [], 0
        if pending:
            yield b''.join(pending)

    def _stream(self, parts: Iterable[bytes], size: int) -> Iterator[bytes]:
        if self.name == 'zstd':
            out = self._compressor().compressobj(size=size)
        elif self.name == 'zlib':
            out = zlib.compressobj(min(9, max(1, self.level)))
        else:
            yield RAW
            yield from parts
            return
        for part in parts:
            for start in range(0, len(part), 1 << 22):
                block = out.compress(
                    memoryview(part)[start : start + (1 << 22)]
                )
                if block:
                    yield block
        yield out.flush()

    def _compressor(self) -> Any:
        if self._zstd is None:
            # The content size is written by default, which lets the decoder
            # allocate once.
            self._zstd = _zstandard().ZstdCompressor(level=self.level)
        return self._zstd


_decompressor: Any = None
_library: Any = None


def _zstandard() -> Any:
    """python-zstandard: the copy that Mercurial was built with, or ours.

    Core reads revlogs with its copy, so that it is there already. To import
    the other takes longer than to read a file.
    """
    global _library
    if _library is None:
        try:
            from mercurial import zstd as library

            # imported on demand: only now it shows whether it can be
            _loaded = library.ZstdError
        except ImportError:
            import zstandard as library
        _library = library
    return _library


def decode(chunk: bytes) -> bytes:
    """The data of a chunk. Raises ChunkError for anything else."""
    if not chunk:
        return b''
    head = chunk[:1]
    if head == ZSTD:
        return _unzstd(chunk)
    if head == RAW:
        return chunk[1:]
    if head == ZLIB:
        try:
            return zlib.decompress(chunk)
        except zlib.error as exc:
            raise ChunkError(str(exc)) from exc
    raise ChunkError('unknown chunk type %r' % head)


def decode_stream(pieces: Iterator[bytes]) -> bytes:
    """The data of a chunk that is stored in several pieces."""
    first = next(pieces, b'')
    if not first:
        return b''
    head = first[:1]
    out: list[bytes] = []
    try:
        if head == RAW:
            out.append(first[1:])
            out.extend(pieces)
        elif head == ZLIB:
            unzip = zlib.decompressobj()
            out.append(unzip.decompress(first))
            out.extend(unzip.decompress(piece) for piece in pieces)
            if not unzip.eof:
                raise ChunkError('zlib stream ends early')
        elif head == ZSTD:
            zstandard = _zstandard()
            try:
                unzstd = zstandard.ZstdDecompressor().decompressobj()
                out.append(unzstd.decompress(first))
                out.extend(unzstd.decompress(piece) for piece in pieces)
            except zstandard.ZstdError as exc:
                raise ChunkError(str(exc)) from exc
        else:
            raise ChunkError('unknown chunk type %r' % head)
    except zlib.error as exc:
        raise ChunkError(str(exc)) from exc
    return b''.join(out)


def _unzstd(chunk: bytes) -> bytes:
    global _decompressor
    zstandard = _zstandard()
    if _decompressor is None:
        # A decompressor is only a reusable scratch context: the GIL is
        # released inside decompress(), so threads make their own.
        import threading

        _decompressor = threading.local()
    try:
        context = _decompressor.context
    except AttributeError:
        context = _decompressor.context = zstandard.ZstdDecompressor()
    try:
        data: bytes = context.decompress(chunk)
    except zstandard.ZstdError as exc:
        raise ChunkError(str(exc)) from exc
    return data
