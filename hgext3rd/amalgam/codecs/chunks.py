# SPDX-License-Identifier: GPL-2.0-or-later
"""Encode and decode the bytes stored in the database.

The first byte of a chunk names its encoding, as in revlogs, so one repository
may mix encodings: data that does not shrink is stored uncompressed, and
``storage.sqlite.compression`` may change over time.

======  =====================================================
byte    meaning
======  =====================================================
(none)  the empty string
``(``   a zstd frame, which always begins with this byte
``x``   a zlib stream, which always begins with this byte
``u``   everything after this byte, uncompressed
======  =====================================================

This module knows nothing of SQLite, and uses only the zstd library of
Mercurial.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

RAW = b'u'
ZLIB = b'x'
ZSTD = b'('

NAMES = ('zstd', 'zlib', 'none')

# Compression levels. A commit compresses one small delta while a person waits;
# a frame is written once and read often.
LOOSE_LEVEL = 3
FRAME_LEVEL = 6
REPACK_LEVEL = 16
MAX_LEVEL = 19

# Compressing fewer bytes saves less than the header of a compressed stream.
_TINY = 40


class ChunkError(ValueError):
    """A chunk cannot be decoded."""


class Codec:
    """Encodes chunks with one compression engine at one level.

    ``name`` is one of ``NAMES``. ``level`` is a zstd level, from which the
    level for zlib is derived. Raises ValueError for an unknown name. An
    instance must not be used by several threads.
    """

    def __init__(self, name: str, level: int = LOOSE_LEVEL) -> None:
        if name not in NAMES:
            raise ValueError(name)
        self.name = name
        self.level = level
        self._zstd: Any = None

    def encode(self, data: bytes) -> bytes:
        """Return ``data`` as a chunk, uncompressed if that is smaller."""
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
        # Not held while the data is copied.
        packed = b''
        return RAW + data

    def encode_stream(
        self, parts: Iterable[bytes], size: int, piece: int
    ) -> Iterator[bytes]:
        """Encode ``parts`` as one chunk, and yield it in pieces.

        ``size`` is the total number of bytes in ``parts``. Pieces have about
        ``piece`` bytes, and their concatenation is the chunk. Use this where
        the whole chunk would be too large for one value.
        """
        pending: list[memoryview] = []
        held = 0
        for part in self._stream(parts, size):
            view = memoryview(part)
            while view:
                take = view[: piece - held]
                pending.append(take)
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
    """Return the python-zstandard module.

    Prefer the copy that Mercurial was built with: core has imported it to
    read revlogs, and importing another one takes longer than reading a file.
    """
    global _library
    if _library is None:
        try:
            from mercurial import zstd as library

            # Mercurial imports lazily: reading an attribute forces the import.
            _loaded = library.ZstdError
        except ImportError:
            import zstandard as library
        _library = library
    return _library


def decode(chunk: bytes) -> bytes:
    """Return the data of a chunk. Raises ChunkError if it is damaged."""
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
    """Return the data of a chunk that is stored in several pieces.

    Raises ChunkError if it is damaged.
    """
    first = next(pieces, b'')
    if not first:
        return b''
    head = first[:1]
    # Unlike a list to be joined, this holds the data once: getvalue() returns
    # the buffer itself.
    out = io.BytesIO()
    try:
        if head == RAW:
            out.write(memoryview(first)[1:])
            out.writelines(pieces)
        elif head == ZLIB:
            unzip = zlib.decompressobj()
            out.write(unzip.decompress(first))
            out.writelines(unzip.decompress(piece) for piece in pieces)
            if not unzip.eof:
                raise ChunkError('zlib stream ends early')
        elif head == ZSTD:
            zstandard = _zstandard()
            try:
                unzstd = zstandard.ZstdDecompressor().decompressobj()
                out.write(unzstd.decompress(first))
                out.writelines(unzstd.decompress(piece) for piece in pieces)
            except zstandard.ZstdError as exc:
                raise ChunkError(str(exc)) from exc
        else:
            raise ChunkError('unknown chunk type %r' % head)
    except zlib.error as exc:
        raise ChunkError(str(exc)) from exc
    return out.getvalue()


def content_size(chunk: bytes) -> int | None:
    """Return the size of the data of a chunk without decoding it.

    ``chunk`` may be cut short after 32 bytes if it is compressed. The result is
    None if the chunk does not tell. Raises ChunkError if it is damaged.
    """
    if not chunk:
        return 0
    if chunk[:1] == RAW:
        return len(chunk) - 1
    if chunk[:1] != ZSTD:
        return None
    zstandard = _zstandard()
    try:
        size: int = zstandard.frame_content_size(chunk)
    except zstandard.ZstdError as exc:
        raise ChunkError(str(exc)) from exc
    return size if size >= 0 else None


def decode_limited(pieces: Sequence[bytes], most: int) -> bytes:
    """Return the data of a chunk from an untrusted source.

    ``pieces`` together are the chunk. Raises ChunkError if it is damaged, or
    would have more than ``most`` bytes.
    """
    head = pieces[0][:1] if pieces else b''
    if head == RAW or not head:
        data = b''.join(pieces)[1:]
    elif head == ZLIB:
        unzip = zlib.decompressobj()
        try:
            data = unzip.decompress(b''.join(pieces), most + 1)
        except zlib.error as exc:
            raise ChunkError(str(exc)) from exc
        if len(data) <= most and not unzip.eof:
            raise ChunkError('zlib stream ends early')
    else:
        # The decoder does not go beyond the size that the first bytes tell.
        size = content_size(pieces[0])
        if size is None or size > most:
            raise ChunkError('a chunk is too large')
        data = (
            decode(pieces[0])
            if len(pieces) == 1
            else _unzstd_pieces(pieces, size)
        )
    if len(data) > most:
        raise ChunkError('a chunk is too large')
    return data


def _unzstd_pieces(pieces: Sequence[bytes], size: int) -> bytes:
    """Return the data of a zstd frame that says that it has ``size`` bytes.

    A decoder of streams compares that with the content at the end only, when
    any number of bytes has come out.
    """
    zstandard = _zstandard()
    data = bytearray(size)
    view = memoryview(data)
    try:
        with zstandard.ZstdDecompressor().stream_reader(
            _Pieces(pieces)
        ) as reader:
            while view:
                count = reader.readinto(view)
                if not count:
                    raise ChunkError('a chunk is smaller than it says')
                view = view[count:]
            if reader.read(1):
                raise ChunkError('a chunk is larger than it says')
    except zstandard.ZstdError as exc:
        raise ChunkError(str(exc)) from exc
    return bytes(data)


class _Pieces:
    """Pieces of bytes as a file."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._piece = memoryview(b'')

    def read(self, size: int) -> memoryview:
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._piece = memoryview(piece)
        found, self._piece = self._piece[:size], self._piece[size:]
        return found


def _unzstd(chunk: bytes) -> bytes:
    global _decompressor
    zstandard = _zstandard()
    if _decompressor is None:
        # decompress() releases the GIL, so threads must not share a context.
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
