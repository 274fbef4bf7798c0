# SPDX-License-Identifier: GPL-2.0-or-later
"""Clones in segments, each of which is applied in a transaction of its own.

This runs ahead of an ordinary pull, which then finds little left to do.
Whatever happens between two segments leaves a valid repository with fewer
changesets. Fetching is in ``listing``, ``fetch`` and ``ahead``.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import IO, Any

from mercurial import bundle2, changegroup, error, phases, policy
from mercurial.i18n import _
from mercurial.utils import stringutil, urlutil

from ..client import failures
from ..segments import bulkunpacker, bundle
from ..shallow import extent
from . import fetch, listing
from .delivery import Delivery
from .listing import ListedSegment
from .report import Report
from .session import PullSession

mpatch = policy.importmod('mpatch')

COMMANDS = (b'segments', b'segmentdata')

#: Exceptions whose cause is the bundle that is applied, not a hook or the disk.
#: PackError is a ValueError. Others are raised by Mercurial when it reads
#: changesets and manifests to check them.
BAD_BUNDLE = (
    bundle2.AbortFromPart,
    error.BundleValueError,
    error.StorageError,
    mpatch.mpatchError,
    struct.error,
    ValueError,
)


class BadSegment(failures.RemoteFailure):
    """A segment arrived undamaged and cannot be applied."""


def suitable(session: PullSession, pullop: Any) -> bool:
    """Return whether a pull that can run ahead should do so in segments."""
    assert session.endpoint is not None and session.endpoint.api is not None
    api = session.endpoint.api
    if not all(name in api.commands for name in COMMANDS):
        return False
    # Segments hold all files of their changesets.
    if pullop.includepats or pullop.excludepats:
        return False
    # A lazy repository wants them without their data.
    return pullop.depth is None or (
        pullop.depth == 0 and api.has_argument(b'segmentdata', b'outline')
    )


def pull(session: PullSession) -> int:
    """Fetch and apply all segments that are missing; return how many.

    Once a segment has been applied, an error of the server causes a warning
    only: an ordinary pull gets the rest, with version 1 if the server refuses
    requests of version 2. Before that, the error is raised. A lost connection
    is always raised after its retries. Raises ``failures.RemoteFailure``.
    """
    assert session.endpoint is not None
    repo = session.repo
    start = len(repo.unfiltered())
    for attempt in (1, 2):
        try:
            return _pull(session)
        except failures.CommandRefused as exc:
            # The server may have replaced the last segment because its history
            # has grown, so ask for the list again.
            if attempt == 2:
                give_up(repo, exc)
        except (fetch.DigestMismatch, BadSegment) as exc:
            give_up(repo, exc)
            break
        except failures.ConnectionFailure:
            raise
        except failures.RemoteFailure as exc:
            if len(repo.unfiltered()) == start:
                raise
            if isinstance(exc, failures.Unavailable):
                session.endpoint.give_up(exc)
            else:
                give_up(repo, exc)
            break
    return 0


def give_up(repo: Any, exc: failures.RemoteFailure) -> None:
    repo.ui.warn(_(b'warning: not pulling in segments: %s\n') % exc.message)


def missing_in(
    repo: Any, segments: Sequence[ListedSegment]
) -> list[ListedSegment]:
    """Return the segments that ``repo`` does not have completely."""
    has_node = repo.unfiltered().changelog.index.has_node
    return [
        segment for segment in segments if not all(map(has_node, segment.heads))
    ]


def _pull(session: PullSession) -> int:
    """Ask for the list of segments, then fetch and apply the missing ones."""
    assert session.endpoint is not None
    repo = session.repo
    listed, session.heads, _all = listing.request(session.endpoint.client())
    if listed is None or not any(segment.final for segment in listed.segments):
        # The history is shorter than a segment: one request gets all of it.
        return 0
    if listed.cgversion not in changegroup.supportedincomingversions(repo):
        return 0
    missing = missing_in(repo, listed.segments)
    if not missing:
        return 0
    # Before the first change: whatever happens later can be continued.
    session.resumption.begin()
    return Application(session, listed.plan(missing)).run()


class Application:
    """Fetches and applies ``segments``, in their order."""

    def __init__(
        self, session: PullSession, segments: Sequence[ListedSegment]
    ) -> None:
        assert session.endpoint is not None
        self._session = session
        self._repo = session.repo
        self._delivery = Delivery(
            session.repo,
            session.endpoint,
            segments,
            extent.is_lazy(session.repo),
        )
        # The names of all branches in the repository, if these are known.
        self._branches: set[bytes] | None = None
        if not len(self._repo.unfiltered()):
            self._branches = set()

    def run(self) -> int:
        """Apply all segments; return how many there were."""
        session, delivery = self._session, self._delivery
        session.report = Report(self._repo)
        try:
            return delivery.run(self._apply, _(b'cloning'))
        finally:
            if delivery.position:
                session.report.write()

    def _apply(
        self,
        segments: Sequence[ListedSegment],
        streams: Sequence[IO[bytes]],
    ) -> None:
        """Apply segments, whose files are ``streams``, in one transaction."""
        with self._session.transaction() as tr:
            try:
                self._apply_streams(tr, segments, streams)
            except BAD_BUNDLE as exc:
                raise self._failure(
                    _(b'a segment cannot be applied: %s')
                    % stringutil.forcebytestr(exc)
                ) from exc
            if missing_in(self._repo, segments):
                raise self._failure(
                    _(b'a segment does not hold the changesets it lists')
                )
            # They are public there, also those that are drafts here.
            heads = [node for segment in segments for node in segment.heads]
            phases.advanceboundary(self._repo, tr, phases.public, heads)

    def _apply_streams(
        self,
        tr: Any,
        segments: Sequence[ListedSegment],
        streams: Sequence[IO[bytes]],
    ) -> None:
        repo, remote = self._repo, self._session.remote
        url = remote.url()
        report = self._session.report
        # Finding out how to apply them opens a file, which is not in them.
        report.counting = False
        unpacker = bundle.opened(repo, streams, self._branches)
        if not isinstance(unpacker, bulkunpacker.BulkUnpacker):
            self._branches = None
        report.counting = True
        if unpacker is None:
            for stream in streams:
                container = bundle.container(repo.ui, stream)
                unbundler = bundle2.getunbundler(repo.ui, container)
                bundle2.applybundle(
                    repo, unbundler, tr, b'pull', url, remote=remote
                )
            return
        # Hooks get what Mercurial gives them when it applies a bundle2.
        tr.hookargs[b'bundle2'] = b'1'
        path = remote.path
        unpacker.apply(
            repo,
            tr,
            b'pull',
            url,
            targetphase=phases.public,
            expectedtotal=sum(segment.changesets for segment in segments),
            delta_base_reuse_policy=path and path.delta_reuse_policy,
        )
        unpacker.finish()
        for path in unpacker.files:
            report.add_file(path)

    def _failure(self, reason: bytes) -> BadSegment:
        return BadSegment(
            urlutil.hidepassword(self._session.remote.url()), reason
        )
