# SPDX-License-Identifier: GPL-2.0-or-later
"""One piece of history as bytes, and as a bundle2 container again.

Reads a repository; knows neither how history is cut nor the wire. The
changegroup inside needs only the ancestors of its changesets: deltas are made
against parents or what came before in the same container.
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

from . import cut, pack, unpack

#: Compressed bytes kept in memory while a piece is built; more go to a file.
SPOOL = 8 * 1024 * 1024

#: zstd level when a client waits: little more time than version 1 takes.
LEVEL_NOW = 3
#: zstd level when pieces are built ahead of time.
LEVEL_AHEAD = 19
#: log2 of the distance at which repetitions are found; 8 MB is what zstd
#: decoders must support (RFC 8878, section 3.1.1.1.2).
WINDOW_LOG = 23

#: Container of bundle2 (mercurial.bundle2, "stream level parameters"): magic,
#: 32-bit length of the parameter block, the block.
BUNDLE_MAGIC = b'HG20'
BUNDLE_PARAMETERS = b'Compression=ZS'

#: A packed changegroup: magic, version, 1 if with tree manifests, number of
#: changesets; what ``segmentpack`` makes follows, compressed by zstd.
PACK_MAGIC = b'HGSP'
PACK_VERSION = 1
_PACK_HEADER = struct.Struct('>4sBBI')

BUNDLE_MEDIA_TYPE = b'application/mercurial-bundle2'
PACK_MEDIA_TYPE = b'application/x-mercurial-packed-changegroup'
#: What clients read.
MEDIA_TYPES = frozenset([BUNDLE_MEDIA_TYPE, PACK_MEDIA_TYPE])

#: Bytes read at once.
CHUNK = 128 * 1024


@dataclass(frozen=True, slots=True)
class Payload:
    """A piece as ``size`` bytes in ``stream``, with kind and digest."""

    stream: IO[bytes]
    size: int
    sha256: bytes
    mediatype: bytes


def build(repo: Any, piece: cut.Piece, version: bytes, level: int) -> Payload:
    """Return ``piece`` as a changegroup of ``version``; the caller closes it.

    ``level`` is zstd's. From ``LEVEL_AHEAD`` on the changegroup is packed as
    well, which saves an eighth and takes a fifth longer. Memory is bounded,
    whatever the piece's size.
    """
    tree = scmutil.istreemanifest(repo)
    chunks = _changegroup(repo, piece, version)
    if level >= LEVEL_AHEAD and pack.packable(version):
        head = _PACK_HEADER.pack(
            PACK_MAGIC, PACK_VERSION, tree, piece.changesets
        )
        packed = pack.pack(version, chunks)
        return _compressed(head, packed, level, PACK_MEDIA_TYPE)
    head = BUNDLE_MAGIC + len(BUNDLE_PARAMETERS).to_bytes(4, 'big')
    parts = _bundle(repo.ui, chunks, version, piece.changesets, tree)
    # the container's own magic and its empty parameter block are replaced
    parts = _without(parts, len(BUNDLE_MAGIC) + 4)
    return _compressed(
        head + BUNDLE_PARAMETERS, parts, level, BUNDLE_MEDIA_TYPE
    )


def opened(streams: Sequence[IO[bytes]]) -> tuple[Any, int] | None:
    """Return payloads as what Mercurial applies changegroups with, and the
    number of changesets; None if that takes a container for each.

    ``streams`` are at their start. Raises ``PackError``, also when they are
    applied, if a payload is of no known kind or damaged.
    """
    found = [_opened(stream) for stream in streams]
    version = found[0][0]
    if version is None or any(
        other != version or tree for other, _items, _count, tree in found
    ):
        # Mercurial's handler of containers sees to tree manifests
        for stream in streams:
            stream.seek(0)
        return None
    items = found[0][1]
    if len(found) > 1:
        items = unpack.merged(version, [other[1] for other in found])
    changesets = sum(other[2] for other in found)
    return unpack.unpacker(version, items), changesets


def container(ui: Any, stream: IO[bytes]) -> Any:
    """Return a payload as a bundle2 container to read from.

    As ``opened``, but for every payload.
    """
    version, items, changesets, tree = _opened(stream)
    if version is None:
        stream.seek(0)
        return stream
    chunks = pack.chunks_of(version, items)
    return util.chunkbuffer(_bundle(ui, chunks, version, changesets, tree))


def _opened(
    stream: IO[bytes],
) -> tuple[bytes | None, Iterator[pack.Item], int, bool]:
    """Return version, items, number of changesets, and whether there are tree
    manifests; no version if the payload is a container."""
    head = stream.read(_PACK_HEADER.size)
    if head.startswith(BUNDLE_MAGIC):
        return None, iter(()), 0, False
    if len(head) < _PACK_HEADER.size:
        raise pack.PackError('payload is cut short')
    magic, pack_version, tree, changesets = _PACK_HEADER.unpack(head)
    if (magic, pack_version) != (PACK_MAGIC, PACK_VERSION):
        raise pack.PackError('payload is of an unknown kind')
    version, items = pack.items(_decompressed(stream))
    return version, items, changesets, bool(tree)


def _changegroup(
    repo: Any, piece: cut.Piece, version: bytes
) -> Iterator[bytes]:
    served = repo.filtered(b'served')
    node = served.changelog.node
    parentrevs = served.changelog.parentrevs
    revs = set(piece.revs())
    outside = {p for rev in revs for p in parentrevs(rev)} - revs
    outgoing = discovery.outgoing(
        served,
        commonheads=[node(rev) for rev in sorted(outside)],
        ancestorsof=list(piece.heads),
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
    """Yield ``chunks`` but for their first ``size`` bytes."""
    for chunk in chunks:
        if size:
            skipped = min(size, len(chunk))
            size -= skipped
            chunk = chunk[skipped:]
        yield chunk


def _compressed(
    head: bytes, chunks: Iterator[bytes], level: int, mediatype: bytes
) -> Payload:
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, window_log=WINDOW_LOG
    )
    compressor = zstandard.ZstdCompressor(
        compression_params=parameters
    ).compressobj()
    hasher = hashlib.sha256()
    size = 0
    # closed by whoever reads it
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
    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << WINDOW_LOG)
    reader = decompressor.stream_reader(stream)
    try:
        while chunk := reader.read(CHUNK):
            yield chunk
    except zstandard.ZstdError as e:
        raise pack.PackError(f'damaged payload: {e}') from e
