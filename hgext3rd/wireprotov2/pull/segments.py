# SPDX-License-Identifier: GPL-2.0-or-later
"""Clones piece by piece: each applied in a transaction of its own.

Runs before an ordinary pull, which then finds little left to do. Whatever
happens between two pieces leaves a valid repository of fewer changesets.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Sequence
from typing import IO, Any

from mercurial import bundle2, changegroup, error, phases
from mercurial.i18n import _
from mercurial.utils import stringutil, urlutil

from ..client import failures, redirects
from ..client.http import HTTPClient
from ..client.offer import API
from ..segments import bundle as segmentbundle
from ..segments.packmodel import PackError
from . import fetch, resume
from .fetch import Fetcher, Piece, Source, list_pieces
from .parents import trusted
from .report import Report

COMMANDS = (b'segments', b'segmentdata')

# Pieces that are here together are applied in one transaction up to this sum
# of their estimates: opening a file for each piece costs as much as storing a
# revision. More would be lost when interrupted; tiny ones cost nothing.
MOST_TOGETHER = 32 * 1024 * 1024
LEAST_TOGETHER = 256 * 1024

# what applying raises if the bundle is at fault, not a hook or the disk
_BAD_BUNDLE = (
    bundle2.AbortFromPart,
    error.BundleValueError,
    error.StorageError,
    PackError,
    struct.error,
)


def suitable(pullop: Any, peer: Any) -> bool:
    """Return whether a pull should begin with pieces."""
    repo = pullop.repo
    api = peer.v2api
    if not peer.v2_allow_pieces:
        return False
    if api is None or not all(name in api.commands for name in COMMANDS):
        return False
    if len(repo.unfiltered()) and not resume.unfinished(repo):
        return False
    # all or nothing: pieces are whole changesets of the whole history
    if pullop.heads or pullop.includepats or pullop.excludepats:
        return False
    if pullop.depth or repo.ui.configbool(b'pull', b'confirm'):
        return False
    stream = pullop.streamclonerequested
    if stream is None:
        stream = bool(peer.capable(b'stream-preferred'))
    return not stream


def pull(pullop: Any, peer: Any) -> int:
    """Fetch and apply all pieces not here yet; return how many.

    Once a piece has been applied, what the server does wrong is worth no more
    than a warning: an ordinary pull gets the rest. Before, it is raised. A
    lost connection, after its retries, is always raised.
    """
    repo = pullop.repo
    client = peer.v2client()
    start = len(repo.unfiltered())
    applied = 0
    for attempt in (1, 2):
        try:
            applied += _pull(repo, peer, client)
            break
        except failures.CommandRefused as exc:
            # the last piece is replaced as history grows: list again
            if attempt == 2:
                _give_up(repo, exc)
        except (fetch.DigestMismatch, BadPiece) as exc:
            _give_up(repo, exc)
            break
        except failures.ConnectionFailure:
            raise
        except failures.ServerFailure as exc:
            if len(repo.unfiltered()) == start:
                raise
            _give_up(repo, exc)
            break
    return applied


class BadPiece(failures.ServerFailure):
    """A piece arrived whole and cannot be applied."""


def _give_up(repo: Any, exc: failures.ServerFailure) -> None:
    repo.ui.warn(_(b'warning: not pulling in pieces: %s\n') % exc.message)


def _missing(repo: Any, pieces: Sequence[Piece]) -> list[Piece]:
    has_node = repo.unfiltered().changelog.index.has_node
    return [piece for piece in pieces if not all(map(has_node, piece.heads))]


def _pull(repo: Any, peer: Any, client: HTTPClient) -> int:
    listing, peer.v2_heads = list_pieces(client)
    if listing is None or not any(piece.final for piece in listing.pieces):
        # less than a piece: one request gets all of it
        return 0
    if listing.cgversion not in changegroup.supportedincomingversions(repo):
        return 0
    pieces = _missing(repo, listing.pieces)
    if not pieces:
        return 0
    return _Application(repo, peer, pieces).run()


class _Application:
    """One run over the pieces that are missing."""

    def __init__(self, repo: Any, peer: Any, pieces: Sequence[Piece]) -> None:
        self._repo = repo
        self._peer = peer
        self._pieces = pieces
        self._report = Report(repo)
        self._total = sum(piece.changesets for piece in pieces)
        self._estimate = sum(piece.estimate for piece in pieces)

    def run(self) -> int:
        repo = self._repo
        ui = repo.ui
        ui.status(
            _(b'fetching %d changesets in %d pieces\n')
            % (self._total, len(self._pieces))
        )
        connections = max(1, ui.configint(b'wireprotov2', b'connections'))
        # before the first change: from here on nothing has to be undone
        resume.begin(repo)
        fetcher = Fetcher(self._pieces, connections, self._make_source)
        down = ui.makeprogress(
            _(b'downloading'), unit=_(b'bytes'), total=self._estimate
        )
        done = ui.makeprogress(
            _(b'cloning'), unit=_(b'changesets'), total=self._total
        )
        position = 0

        def waiting() -> None:
            total = max(self._estimate, fetcher.bytes)
            down.update(fetcher.bytes, total=total)

        try:
            index = 0
            while index < len(self._pieces):
                streams = [fetcher.take(index, waiting)]
                most = self._together(index)
                with contextlib.ExitStack() as stack:
                    stack.enter_context(streams[0])
                    for stream in fetcher.take_more(index + 1, most - 1):
                        streams.append(stack.enter_context(stream))
                    pieces = self._pieces[index : index + len(streams)]
                    self._apply(pieces, streams)
                index += len(pieces)
                position += sum(piece.changesets for piece in pieces)
                done.update(position)
                waiting()
        finally:
            fetcher.stop()
            down.complete()
            done.complete()
            if position:
                self._report.write()
        return len(self._pieces)

    def _together(self, index: int) -> int:
        """Return how many pieces from ``index`` on may be applied at once."""
        size = 0
        for count, piece in enumerate(self._pieces[index:]):
            size += piece.estimate
            if piece.estimate < LEAST_TOGETHER or size > MOST_TOGETHER:
                return max(1, count)
        return len(self._pieces) - index

    def _make_source(self, received: Any) -> Source:
        """Return a source with connections of its own."""
        api: API = self._peer.v2api
        secure = api.url.startswith(b'https:')
        return Source(
            self._repo.ui,
            self._peer.v2_client_apart(),
            redirects.acceptable(api, secure),
            received,
        )

    def _apply(
        self, pieces: Sequence[Piece], streams: Sequence[IO[bytes]]
    ) -> None:
        repo = self._repo
        url = self._peer.url()
        name = b'pull\n%s' % urlutil.hidepassword(url)
        with self._report.transaction(url, name) as tr, trusted():
            try:
                self._apply_streams(tr, url, streams)
            except _BAD_BUNDLE as exc:
                raise self._failure(
                    _(b'a piece cannot be applied: %s')
                    % stringutil.forcebytestr(exc)
                ) from exc
            if _missing(repo, pieces):
                raise self._failure(_(b'a piece does not hold what it should'))

    def _apply_streams(
        self, tr: Any, url: bytes, streams: Sequence[IO[bytes]]
    ) -> None:
        repo = self._repo
        found = segmentbundle.opened(streams)
        if found is None:
            for stream in streams:
                container = segmentbundle.container(repo.ui, stream)
                bundle = bundle2.getunbundler(repo.ui, container)
                bundle2.applybundle(
                    repo, bundle, tr, b'pull', url, remote=self._peer
                )
            return
        unpacker, changesets = found
        # for hooks, as Mercurial has it
        tr.hookargs[b'bundle2'] = b'1'
        path = self._peer.path
        unpacker.apply(
            repo,
            tr,
            b'pull',
            url,
            targetphase=phases.public,
            expectedtotal=changesets,
            delta_base_reuse_policy=path and path.delta_reuse_policy,
        )
        unpacker.finish()

    def _failure(self, reason: bytes) -> BadPiece:
        return BadPiece(urlutil.hidepassword(self._peer.url()), reason)
