# SPDX-License-Identifier: GPL-2.0-or-later
"""The payload of a segment: a pack, or a changegroup as a bundle.

Reads a repository, but knows neither how history is cut nor the wire. To apply
a payload, a receiver needs the segments before it: deltas are made against
revisions that precede in the same payload, or against ancestors. Payloads are
packs, except for history that only a newer kind of changegroup can carry.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import zstandard
from mercurial import (
    bundle2,
    changegroup,
    discovery,
    phases,
    requirements,
    scmutil,
    util,
)

from ...amalgam.packs import decoder, encoder, layout
from ...amalgam.packs.errors import PackError
from ..access import requester
from ..compat import store_options
from . import bulkunpacker, itemunpacker, packing, unpacking
from .cut import Segment

#: Compressed bytes kept in memory while a payload is built; more go to a file.
SPOOL = 8 * 1024 * 1024

#: zstd level when a client waits. It takes little more time than version 1.
LEVEL_NOW = 3
#: zstd level when segments are built ahead of time.
LEVEL_AHEAD = 19
#: ... and for the open segment, which every push replaces. It takes a third of
#: the CPU time, for about as many bytes.
LEVEL_OPEN = 12
#: Bytes of frames when a client waits. Larger frames need fewer full texts, each
#: of which must be read from the repository.
_FRAMES_NOW = {layout.MANIFEST: 8 << 20, layout.FILE: 8 << 20}
#: ... and ahead of time. Most commands read the newest manifest; files are
#: mostly read many at a time.
_FRAMES_AHEAD = {layout.MANIFEST: 1 << 20, layout.FILE: 2 << 20}
#: log2 of the distance at which repetitions are found in a bundle. 8 MB is what
#: all zstd decoders should support (RFC 8878, section 3.1.1.1.2).
WINDOW_LOG = 23

#: A container of bundle2 begins with a magic, the length of the parameter block
#: (32 bits), and the block (mercurial.bundle2, "stream level parameters").
BUNDLE_MAGIC = b'HG20'
BUNDLE_PARAMETERS = b'Compression=ZS'

BUNDLE_MEDIA_TYPE = b'application/mercurial-bundle2'
PACK_MEDIA_TYPE = b'application/x-mercurial-pack'
#: The media types that clients can read.
MEDIA_TYPES = frozenset([BUNDLE_MEDIA_TYPE, PACK_MEDIA_TYPE])


@dataclass(frozen=True, slots=True)
class Payload:
    """A segment as ``size`` bytes in ``stream``.

    ``sha256`` is the digest of these bytes, ``mediatype`` says what they are.
    """

    stream: IO[bytes]
    size: int
    sha256: bytes
    mediatype: bytes


def build(
    repo: Any,
    segment: Segment,
    version: bytes,
    level: int,
    whole: bool = False,
    outline: bool = False,
) -> Payload:
    """Return the payload of a segment that needs changegroups of ``version``.

    The caller closes the stream. ``level`` is that of zstd. ``whole`` says that
    all changesets before its last are in the segment or in earlier ones. An
    ``outline`` has files without their data, if it can be a pack. Memory is
    bounded, whatever the size of the segment.
    """
    tree = scmutil.istreemanifest(repo)
    if packing.packable(version):
        made = encoder.Encoder(
            packing.RepositoryTexts(repo), _effort(level), tree
        )
        if whole and not tree:
            parts = packing.pack_stored(
                made, repo, *segment.ranges[0], outline=outline
            )
        else:
            # Only Mercurial knows how to find what came with other changesets,
            # and the directories of tree manifests.
            chunks = _changegroup(repo, segment, version)
            parts = packing.pack(made, version, chunks, outline)
        return _stored(parts, PACK_MEDIA_TYPE)
    chunks = _changegroup(repo, segment, version)
    head = BUNDLE_MAGIC + len(BUNDLE_PARAMETERS).to_bytes(4, 'big')
    parts = _bundle(repo.ui, chunks, version, segment.changesets, tree)
    # Replace the magic and the empty parameter block of the container.
    parts = _without(parts, len(BUNDLE_MAGIC) + 4)
    return _stored(
        _compressed(head + BUNDLE_PARAMETERS, parts, level), BUNDLE_MEDIA_TYPE
    )


def _effort(level: int) -> encoder.Effort:
    """Return how small a pack becomes at zstd's ``level``."""
    if level <= LEVEL_NOW:
        return encoder.Effort(level, _FRAMES_NOW)
    return encoder.Effort(level, _FRAMES_AHEAD, compare=True)


def opened(
    repo: Any,
    streams: Sequence[IO[bytes]],
    branches: set[bytes] | None = None,
) -> Any:
    """Return an object that applies payloads to ``repo`` as a changegroup.

    It has the interface of the unpackers in ``mercurial.changegroup``. Return
    None if a payload is a bundle; then each must be applied by itself.
    ``streams`` are at their start; ``branches`` are as ``BulkUnpacker`` has them.
    Raises ``PackError``, also while the changegroup is applied, if a payload is
    damaged or of an unknown kind.
    """
    heads = [stream.read(layout.HEAD.size) for stream in streams]
    for stream in streams:
        stream.seek(0)
    if any(head.startswith(BUNDLE_MAGIC) for head in heads):
        return None
    decoders = [decoder.Decoder(stream) for stream in streams]
    trees = any(found.trees for found in decoders)
    if trees:
        _use_trees(repo)
    if bulkunpacker.suitable(repo):
        return bulkunpacker.BulkUnpacker(repo, decoders, branches)
    items = [unpacking.items(found) for found in decoders]
    if not trees:
        return itemunpacker.unpacker(itemunpacker.merged(items))
    if len(items) == 1:
        return itemunpacker.unpacker(items[0])
    # Directories do not come in an order that could be merged.
    for stream in streams:
        stream.seek(0)
    return None


def _use_trees(repo: Any) -> None:
    """Give an empty repository tree manifests. Raises ``PackError``."""
    if scmutil.istreemanifest(repo):
        return
    if len(repo.unfiltered()):
        raise PackError('tree manifests for a repository without them')
    requirement = requirements.TREEMANIFEST_REQUIREMENT
    repo.requirements.add(requirement)

    def changed(_tr: Any = None) -> None:
        repo.svfs.options = store_options(repo)
        scmutil.writereporequirements(repo)

    def undo(tr: Any) -> None:
        repo.requirements.discard(requirement)
        changed(tr)

    changed()
    # The pack may turn out to be wrong, and what comes instead may be flat.
    repo.currenttransaction().addabort(b'wireprotov2-trees', undo)


def container(ui: Any, stream: IO[bytes]) -> Any:
    """Return a payload as a file that holds a bundle2 container.

    This works for every payload. ``stream`` is at its start. Raises
    ``PackError`` as ``opened`` does.
    """
    head = stream.read(len(BUNDLE_MAGIC))
    stream.seek(0)
    if head == BUNDLE_MAGIC:
        return stream
    found = decoder.Decoder(stream)
    chunks = unpacking.chunks(unpacking.items(found))
    return util.chunkbuffer(
        _bundle(ui, chunks, unpacking.VERSION, None, found.trees)
    )


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
    changesets: int | None,
    tree: bool,
) -> Iterator[bytes]:
    """Return an uncompressed container with one changegroup."""
    bundler = bundle2.bundle20(ui)
    part = bundler.newpart(b'changegroup', data=chunks)
    part.addparam(b'version', version)
    if changesets is not None:
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
    head: bytes, chunks: Iterable[bytes], level: int
) -> Iterator[bytes]:
    """Yield ``head`` and the compressed ``chunks``."""
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, window_log=WINDOW_LOG
    )
    compressor = zstandard.ZstdCompressor(
        compression_params=parameters
    ).compressobj()
    yield head
    for chunk in chunks:
        yield compressor.compress(chunk)
    yield compressor.flush()


def _stored(chunks: Iterable[bytes], mediatype: bytes) -> Payload:
    """Return a payload of these bytes."""
    hasher = hashlib.sha256()
    size = 0
    # The caller closes it.
    stream = tempfile.SpooledTemporaryFile(max_size=SPOOL)
    try:
        for chunk in chunks:
            stream.write(chunk)
            hasher.update(chunk)
            size += len(chunk)
        stream.seek(0)
    except BaseException:
        stream.close()
        raise
    return Payload(stream, size, hasher.digest(), mediatype)
