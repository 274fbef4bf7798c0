# SPDX-License-Identifier: GPL-2.0-or-later
"""One piece of history as a bundle2 container, strongly compressed.

Reads a repository; knows neither how history is cut nor the wire. The
changegroup inside needs only the ancestors of its changesets: deltas are made
against parents or what came before in the same container.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import zstandard
from mercurial import bundle2, changegroup, discovery, phases, scmutil

from . import segments

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
MAGIC = b'HG20'
PARAMETERS = b'Compression=ZS'


@dataclass(frozen=True, slots=True)
class Payload:
    """A container of ``size`` bytes in ``stream``, and its digest."""

    stream: IO[bytes]
    size: int
    sha256: bytes


def build(
    repo: Any, piece: segments.Piece, version: bytes, level: int
) -> Payload:
    """Return ``piece`` as a changegroup of ``version``; the caller closes it.

    ``level`` is zstd's. Memory is bounded, whatever the piece's size.
    """
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
    bundler = bundle2.bundle20(repo.ui)
    stream = changegroup.makestream(served, outgoing, version, b'segment')
    part = bundler.newpart(b'changegroup', data=stream)
    part.addparam(b'version', version)
    part.addparam(b'nbchanges', b'%d' % piece.changesets, mandatory=False)
    part.addparam(b'targetphase', b'%d' % phases.public, mandatory=False)
    if scmutil.istreemanifest(repo):
        part.addparam(b'treemanifest', b'1')
    return _compressed(bundler.getchunks(), level)


def _compressed(chunks: Iterator[bytes], level: int) -> Payload:
    """Put the parts of an uncompressed container into a compressed one."""
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
        write(MAGIC + len(PARAMETERS).to_bytes(4, 'big') + PARAMETERS)
        head = b''
        skip = len(MAGIC) + 4
        for chunk in chunks:
            if len(head) < skip:
                # the container's own magic and its empty parameter block
                head += chunk
                chunk = head[skip:]
                if not chunk:
                    continue
            write(compressor.compress(chunk))
        write(compressor.flush())
        stream.seek(0)
    except BaseException:
        stream.close()
        raise
    return Payload(stream, size, hasher.digest())
