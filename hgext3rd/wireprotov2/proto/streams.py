# SPDX-License-Identifier: GPL-2.0-or-later
"""Content encodings of streams: ``identity``, ``zlib`` and ``zstd-8mb``.

An encoder turns the bytes of a stream into the payloads of its wire frames, a
decoder does the reverse. Both keep their state from frame to frame. Nothing
here knows what frames look like.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import zstandard

from .errors import LimitError, StreamError

# The name of the profile promises receivers that they need no larger window.
ZSTD_WINDOW = 8 * 1024 * 1024

# The default levels of the encoders: the highest ones that cost a server no
# more CPU than reading the data from its storage.
ZSTD_LEVEL = 3
ZLIB_LEVEL = 6

# Bytes to which one frame may expand where it is decoded as a whole. The worst
# case of honest data is a frame of 64 kB at the best ratio zstd reaches on
# text, about 1:1000. A bomb may reach 1:30000 and is stopped here before it is
# decoded in full.
MAX_DECODED = 256 * 1024 * 1024

# The most bytes of one decoded part. This bounds the memory that a bomb takes
# beyond the limit.
STEP = 1024 * 1024

# Bytes of zstd data that are decoded at once. Four bytes may stand for a block
# of 128 kB, so the worst case is 32 MB.
_SLICE = 1024


class ContentEncoder(Protocol):
    """Turns the bytes of a stream into the payloads of its frames."""

    def encode(self, data: bytes) -> bytes:
        """Return encoded bytes, empty if the encoder still holds the data."""

    def flush(self) -> bytes:
        """Return the bytes that make all data so far decodable."""

    def finish(self) -> bytes:
        """Return the last bytes of the encoded data. Nothing may follow."""


class ContentDecoder(Protocol):
    """Turns the payloads of frames into the bytes of a stream."""

    def decode(self, data: bytes) -> bytes:
        """Return decoded bytes.

        Raises ``StreamError`` for broken data, ``LimitError`` for a bomb.
        """

    def parts(self, data: bytes) -> Iterator[bytes]:
        """Yield decoded bytes, at most ``STEP`` of them at a time.

        However much ``data`` expands to, this needs little memory. Raises
        ``StreamError`` for broken data.
        """


class _Bounded:
    """Decodes the payload of a frame as a whole by joining its parts."""

    def __init__(self, limit: int = MAX_DECODED) -> None:
        self._limit = limit

    def parts(self, data: bytes) -> Iterator[bytes]:
        """Yield decoded bytes in parts of bounded size."""
        raise AssertionError('every decoder has its own')  # pragma: no cover

    def decode(self, data: bytes) -> bytes:
        """Return decoded bytes."""
        parts = []
        left = self._limit
        for part in self.parts(data):
            left -= len(part)
            if left < 0:
                raise LimitError(
                    'decoded-size',
                    b'a frame expands to more than %d bytes' % self._limit,
                )
            parts.append(part)
        return b''.join(parts)


class IdentityEncoder:
    """Returns the data as it is."""

    def encode(self, data: bytes) -> bytes:
        """Return encoded bytes."""
        return data

    def flush(self) -> bytes:
        """Return the bytes that make all data so far decodable."""
        return b''

    finish = flush


class IdentityDecoder(_Bounded):
    """Returns the data as it is."""

    def parts(self, data: bytes) -> Iterator[bytes]:
        """Yield decoded bytes in parts of bounded size."""
        yield data


class ZlibEncoder:
    """Compresses with zlib (RFC 1950)."""

    def __init__(self, level: int = ZLIB_LEVEL) -> None:
        self._compressor = zlib.compressobj(level)
        self.encode = self._compressor.compress

    def flush(self) -> bytes:
        """Return the bytes that make all data so far decodable."""
        return self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        """Return the bytes that end the encoded data."""
        return self._compressor.flush(zlib.Z_FINISH)


class ZlibDecoder(_Bounded):
    """Decompresses what ``ZlibEncoder`` makes."""

    def __init__(self, limit: int = MAX_DECODED) -> None:
        super().__init__(limit)
        self._decompressor = zlib.decompressobj()

    def parts(self, data: bytes) -> Iterator[bytes]:
        """Yield decoded bytes in parts of bounded size."""
        decompressor = self._decompressor
        if data and decompressor.eof:
            raise StreamError(b'data follows the end of a zlib stream')
        while data:
            try:
                decoded = decompressor.decompress(data, STEP)
            except zlib.error:
                raise StreamError(b'broken zlib data') from None
            data = decompressor.unconsumed_tail
            if decompressor.unused_data:
                raise StreamError(b'data follows the end of a zlib stream')
            yield decoded


class ZstdEncoder:
    """Compresses with zstd (RFC 8878), with a window of at most 8 MB."""

    def __init__(self, level: int = ZSTD_LEVEL) -> None:
        self._compressor = zstd_compressor(level).compressobj()
        self.encode = self._compressor.compress

    def flush(self) -> bytes:
        """Return the bytes that make all data so far decodable."""
        return self._compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def finish(self) -> bytes:
        """Return the bytes that end the encoded data."""
        return self._compressor.flush(zstandard.COMPRESSOBJ_FLUSH_FINISH)


class ZstdDecoder(_Bounded):
    """Decompresses what ``ZstdEncoder`` makes."""

    def __init__(self, limit: int = MAX_DECODED) -> None:
        super().__init__(limit)
        dctx = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
        # A decompressobj returns all output at once, a writer does so in parts.
        self._sink = _Sink()
        self._writer = dctx.stream_writer(
            self._sink,  # type: ignore[arg-type]
            write_size=STEP,
        )

    def parts(self, data: bytes) -> Iterator[bytes]:
        """Yield decoded bytes in parts of bounded size."""
        for start in range(0, len(data), _SLICE):
            try:
                self._writer.write(data[start : start + _SLICE])
            except zstandard.ZstdError:
                raise StreamError(b'broken zstd data') from None
            yield from self._sink.take()


class _Sink:
    """The file that a zstd writer writes to."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:
        """Keep ``data`` until it is taken."""
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> list[bytes]:
        """Return and forget what was written."""
        parts, self._parts = self._parts, []
        return parts


def zstd_compressor(level: int) -> zstandard.ZstdCompressor:
    """Return a compressor whose output every zstd-8mb decoder can read."""
    # The checksum costs next to nothing, and deltas are not verified before
    # they are read.
    params = zstandard.ZstdCompressionParameters.from_level(
        level, write_checksum=True
    )
    if params.window_log > 23:
        params = zstandard.ZstdCompressionParameters.from_level(
            level, window_log=23, write_checksum=True
        )
    return zstandard.ZstdCompressor(compression_params=params)


@dataclass(frozen=True)
class Profile:
    """A content encoding: its name on the wire, and how to make its two ends.

    ``decoder`` takes the most bytes to which a frame may expand.
    """

    name: bytes
    encoder: Callable[[], ContentEncoder]
    decoder: Callable[[int], ContentDecoder]


PROFILES = {
    p.name: p
    for p in (
        Profile(b'zstd-8mb', ZstdEncoder, ZstdDecoder),
        Profile(b'zlib', ZlibEncoder, ZlibDecoder),
        Profile(b'identity', IdentityEncoder, IdentityDecoder),
    )
}


def choose(ours: Sequence[bytes], theirs: Iterable[bytes]) -> bytes:
    """Return the first of ``ours`` among ``theirs``, else ``identity``."""
    accepted = set(theirs)
    for name in ours:
        if name in accepted:
            return name
    return b'identity'


def encoded(chunks: Iterable[bytes], name: bytes) -> Iterator[bytes]:
    """Yield ``chunks`` as one self-contained encoded stream, without flushes.

    The result can be kept and sent again as the whole of another stream.
    """
    if name == b'identity':
        yield from chunks
        return
    encoder = PROFILES[name].encoder()
    for chunk in chunks:
        data = encoder.encode(chunk)
        if data:
            yield data
    yield encoder.finish()


def make_decoder(
    name: object, extra: Sequence[object] = (), limit: int = MAX_DECODED
) -> ContentDecoder:
    """Return a decoder for the profile that a stream-settings frame names.

    ``extra`` holds the further values of that frame; no known profile has any.
    ``limit`` is the most bytes to which one frame may expand. Raises
    ``StreamError`` for an unknown profile.
    """
    profile = PROFILES.get(name) if isinstance(name, bytes) else None
    if profile is None:
        raise StreamError(b'unknown content encoding')
    if extra:
        raise StreamError(b'unexpected parameters of a content encoding')
    return profile.decoder(limit)
