# SPDX-License-Identifier: GPL-2.0-or-later
"""The payload of a segment: a changegroup as bytes, and back.

Reads a repository, but knows neither how history is cut nor the wire. To apply
a payload, a receiver needs only the ancestors of its changesets: deltas are
made against parents, or against revisions that precede in the same payload.
"""

from __future__ import annotations

import hashlib
import struct
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import zstandard
from mercurial import bundle2, changegroup, discovery, phases, scmutil, util

from ..access import requester
from . import pack, packreading, unpack
from .cut import Segment
from .packmodel import Item, PackError

#: Compressed bytes kept in memory while a payload is built; more go to a file.
SPOOL = 8 * 1024 * 1024

#: zstd level when a client waits. It takes little more time than version 1.
LEVEL_NOW = 3
#: zstd level when segments are built ahead of time.
LEVEL_AHEAD = 19
#: log2 of the distance at which repetitions are found. 8 MB is what all zstd
#: decoders should support (RFC 8878, section 3.1.1.1.2).
WINDOW_LOG = 23

#: A container of bundle2 begins with a magic, the length of the parameter block
#: (32 bits), and the block (mercurial.bundle2, "stream level parameters").
BUNDLE_MAGIC = b'HG20'
BUNDLE_PARAMETERS = b'Compression=ZS'

#: A packed changegroup begins with a magic, a version, 1 if there are tree
#: manifests, and the number of changesets. What ``pack`` makes follows,
#: compressed by zstd.
PACK_MAGIC = b'HGSP'
PACK_VERSION = 1
_PACK_HEADER = struct.Struct('>4sBBI')

BUNDLE_MEDIA_TYPE = b'application/mercurial-bundle2'
PACK_MEDIA_TYPE = b'application/x-mercurial-packed-changegroup'
#: The media types that clients can read.
MEDIA_TYPES = frozenset([BUNDLE_MEDIA_TYPE, PACK_MEDIA_TYPE])

#: Bytes read at once.
CHUNK = 128 * 1024


@dataclass(frozen=True, slots=True)
class Payload:
    """A segment as ``size`` bytes in ``stream``.

    ``sha256`` is the digest of these bytes, ``mediatype`` says what they are.
    """

    stream: IO[bytes]
    size: int
    sha256: bytes
    mediatype: bytes


def build(repo: Any, segment: Segment, version: bytes, level: int) -> Payload:
    """Return ``segment`` as a changegroup of ``version``.

    The caller closes the stream. ``level`` is that of zstd. From
    ``LEVEL_AHEAD`` on the changegroup is packed as well, which saves an eighth
    of the bytes and takes a fifth longer. Memory is bounded, whatever the size
    of the segment.
    """
    tree = scmutil.istreemanifest(repo)
    chunks = _changegroup(repo, segment, version)
    if level >= LEVEL_AHEAD and pack.packable(version):
        head = _PACK_HEADER.pack(
            PACK_MAGIC, PACK_VERSION, tree, segment.changesets
        )
        packed = pack.pack(version, chunks)
        return _compressed(head, packed, level, PACK_MEDIA_TYPE)
    head = BUNDLE_MAGIC + len(BUNDLE_PARAMETERS).to_bytes(4, 'big')
    parts = _bundle(repo.ui, chunks, version, segment.changesets, tree)
    # Replace the magic and the empty parameter block of the container.
    parts = _without(parts, len(BUNDLE_MAGIC) + 4)
    return _compressed(
        head + BUNDLE_PARAMETERS, parts, level, BUNDLE_MEDIA_TYPE
    )


def opened(streams: Sequence[IO[bytes]]) -> tuple[Any, int] | None:
    """Return payloads as one changegroup for Mercurial to apply.

    Returns an unpacker (``mercurial.changegroup``) and the number of
    changesets. Returns None if the payloads must be applied one by one, each
    with ``container``. ``streams`` are at their start. Raises ``PackError``,
    also while the changegroup is applied, if a payload is damaged or of an
    unknown kind.
    """
    found = [_read_payload(stream) for stream in streams]
    version = found[0][0]
    if version is None or any(
        other != version or tree for other, _items, _count, tree in found
    ):
        # Tree manifests need Mercurial's handler of containers.
        for stream in streams:
            stream.seek(0)
        return None
    items = found[0][1]
    if len(found) > 1:
        items = unpack.merged(version, [other[1] for other in found])
    changesets = sum(other[2] for other in found)
    return unpack.unpacker(version, items), changesets


def container(ui: Any, stream: IO[bytes]) -> Any:
    """Return a payload as a file that holds a bundle2 container.

    This works for every payload. ``stream`` is at its start. Raises
    ``PackError`` as ``opened`` does.
    """
    version, items, changesets, tree = _read_payload(stream)
    if version is None:
        stream.seek(0)
        return stream
    chunks = packreading.chunks_of(version, items)
    return util.chunkbuffer(_bundle(ui, chunks, version, changesets, tree))


def _read_payload(
    stream: IO[bytes],
) -> tuple[bytes | None, Iterator[Item], int, bool]:
    """Return what a payload holds.

    That is the changegroup version, the items, the number of changesets, and
    whether there are tree manifests. The version is None if the payload is a
    container.
    """
    head = stream.read(_PACK_HEADER.size)
    if head.startswith(BUNDLE_MAGIC):
        return None, iter(()), 0, False
    if len(head) < _PACK_HEADER.size:
        raise PackError('payload is cut short')
    magic, pack_version, tree, changesets = _PACK_HEADER.unpack(head)
    if (magic, pack_version) != (PACK_MAGIC, PACK_VERSION):
        raise PackError('payload is of an unknown kind')
    version, items = packreading.items(_decompressed(stream))
    return version, items, changesets, bool(tree)


def _changegroup(
    repo: Any, segment: Segment, version: bytes
) -> Iterator[bytes]:
    """Return the changegroup of a segment."""
    served = requester.served(repo).repo
    node = served.changelog.node
    parentrevs = served.changelog.parentrevs
    revs = set(segment.revs())
    outside = {p for rev in revs for p in parentrevs(rev)} - revs
    outgoing = discovery.outgoing(
        served,
        commonheads=[node(rev) for rev in sorted(outside)],
        ancestorsof=list(segment.heads),
    )
    chunks: Iterator[bytes] = changegroup.makestream(
        served, outgoing, version, b'segment'
    )
    return chunks


def _bundle(
    ui: Any,
    chunks: Iterator[bytes],
    version: bytes,
    changesets: int,
    tree: bool,
) -> Iterator[bytes]:
    """Return an uncompressed container with one changegroup."""
    bundler = bundle2.bundle20(ui)
    part = bundler.newpart(b'changegroup', data=chunks)
    part.addparam(b'version', version)
    part.addparam(b'nbchanges', b'%d' % changesets, mandatory=False)
    part.addparam(b'targetphase', b'%d' % phases.public, mandatory=False)
    if tree:
        part.addparam(b'treemanifest', b'1')
    parts: Iterator[bytes] = bundler.getchunks()
    return parts


def _without(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Yield ``chunks`` without their first ``size`` bytes."""
    for chunk in chunks:
        if size:
            skipped = min(size, len(chunk))
            size -= skipped
            chunk = chunk[skipped:]
        yield chunk


def _compressed(
    head: bytes, chunks: Iterator[bytes], level: int, mediatype: bytes
) -> Payload:
    """Return ``head`` and the compressed ``chunks`` as a payload."""
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, window_log=WINDOW_LOG
    )
    compressor = zstandard.ZstdCompressor(
        compression_params=parameters
    ).compressobj()
    hasher = hashlib.sha256()
    size = 0
    # The caller closes it.
    stream = tempfile.SpooledTemporaryFile(max_size=SPOOL)

    def write(data: bytes) -> None:
        nonlocal size
        stream.write(data)
        hasher.update(data)
        size += len(data)

    try:
        write(head)
        for chunk in chunks:
            write(compressor.compress(chunk))
        write(compressor.flush())
        stream.seek(0)
    except BaseException:
        stream.close()
        raise
    return Payload(stream, size, hasher.digest(), mediatype)


def _decompressed(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the rest of ``stream`` decompressed. Raises ``PackError``."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << WINDOW_LOG)
    reader = decompressor.stream_reader(stream)
    try:
        while chunk := reader.read(CHUNK):
            yield chunk
    except zstandard.ZstdError as e:
        raise PackError(f'damaged payload: {e}') from e
