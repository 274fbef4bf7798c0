# SPDX-License-Identifier: GPL-2.0-or-later
"""Completing a lazy clone with the segments of its history.

If segments lack most of the content of their files, their packs are fetched as in
a clone, and the storage takes that content out of them. Nothing else in them is
used. This is for revlogs (``shallow.filling``), and for storage that can give
content to revisions that it has (``amalgam.packs.sinks``). ``fetchfiles`` fetches
the rest.
"""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import IO, Any

from mercurial import error
from mercurial.i18n import _
from mercurial.utils import stringutil

from ...amalgam.packs import decoder, layout
from ...amalgam.packs.contents import Changesets, Index, PackedFrame
from ...amalgam.packs.errors import PackError
from ...amalgam.packs.sinks import PackSink
from .. import compat
from ..client import failures
from ..client.endpoint import Endpoint, endpoint_of
from ..proto.errors import ProtocolError
from ..segments import packing
from ..shallow import absence, completion, filling
from . import listing, segments
from .delivery import Delivery
from .listing import ListedSegment, SegmentList
from .parts import Parts

#: Revisions without data, from which on segments are worth their requests.
LEAST_REVISIONS = 2000

#: Segments are fetched if this part of their file revisions lacks its data.
LEAST_PART = 2 / 3

#: The nodes of each path.
Files = Mapping[bytes, Sequence[bytes]]


def fill(repo: Any, absent: Files) -> bool:
    """Fetch segments, and store the data of files in them; return if there were.

    ``absent`` are the revisions without data. Whatever cannot be done like this
    is left alone: a server that has no segments, and one that fails, with a
    warning. Raises ``Abort`` if the connection is lost; what has arrived is kept
    then.
    """
    if (
        sum(map(len, absent.values())) < LEAST_REVISIONS
        or repo.narrowpats != (set(), set())
        or not _takes_packs(repo, next(iter(absent)))
    ):
        return False
    for path in repo.ui.paths.get(b'default') or ():
        try:
            remote = compat.peer(repo, path)
        except (error.RepoError, error.Abort, OSError):
            # Requests for single files report it.
            continue
        try:
            endpoint = endpoint_of(remote)
            if endpoint is not None and _has_commands(endpoint):
                return _fill_from(repo, endpoint, absent)
        except failures.ConnectionFailure:
            raise
        except failures.RemoteFailure as exc:
            repo.ui.warn(
                _(b'warning: not fetching segments: %s\n') % exc.message
            )
        finally:
            remote.close()
    return False


def _takes_packs(repo: Any, path: bytes) -> bool:
    inner = absence.of_file(repo, path)
    return getattr(inner, 'takes_packs', False) or filling.fillable(inner)


def _sink(repo: Any, tr: Any) -> PackSink:
    """Return what takes content into the storage of ``repo``."""
    make = getattr(repo, 'pack_sink', None)
    sink: PackSink | None = make(tr) if make is not None else None
    return filling.FillingSink(repo, tr) if sink is None else sink


def _has_commands(endpoint: Endpoint) -> bool:
    api = endpoint.api
    return api is not None and all(
        name in api.commands for name in segments.COMMANDS
    )


def _fill_from(repo: Any, endpoint: Endpoint, absent: Files) -> bool:
    """Fetch from one server; return whether there was anything to fetch."""
    client = endpoint.client(ask=True)
    try:
        listed, _heads, _known = listing.request(client)
        if listed is None or not packing.packable(listed.cgversion):
            return False
        plan = _plan(repo, listed, absent)
        if not plan:
            return False

        def apply(
            _segments: Sequence[ListedSegment], streams: Sequence[IO[bytes]]
        ) -> None:
            with repo.lock(), repo.transaction(b'fill') as tr:
                try:
                    _apply(repo, tr, streams)
                except (ValueError, error.StorageError) as exc:
                    raise segments.BadSegment(
                        client.url,
                        _(b'a segment cannot be used: %s')
                        % stringutil.forcebytestr(exc),
                    ) from exc

        delivery = Delivery(repo, endpoint, plan, outline=False)
        done = delivery.run(apply, _(b'completing'))
        Parts(repo.vfs).forget()
        return bool(done)
    except ProtocolError as exc:
        raise failures.RemoteFailure(client.url, exc.message) from exc


def _plan(repo: Any, listed: SegmentList, absent: Files) -> list[ListedSegment]:
    """Return the segments whose files lack data, in their order.

    Return none if they lack only a smaller part. All of them are needed then or
    none, since a pack has deltas of files in the packs before it.
    """
    unknown = {s.name for s in segments.missing_in(repo, listed.segments)}
    known = [s for s in listed.segments if s.name not in unknown]
    owners = _owners(repo, known)
    totals: collections.Counter[int] = collections.Counter()
    lacking: collections.Counter[int] = collections.Counter()
    for path in completion.paths(repo):
        inner = absence.of_file(repo, path)
        for rev in range(len(inner)):
            totals[owners.get(inner.linkrev(rev), -1)] += 1
        for node in absent.get(path, ()):
            lacking[owners.get(inner.linkrev(inner.rev(node)), -1)] += 1
    wanted = [s for number, s in enumerate(known) if lacking[number]]
    total = sum(totals[n] for n in range(len(known)) if lacking[n])
    if sum(lacking[n] for n in range(len(known))) < total * LEAST_PART:
        return []
    return listed.without(unknown).plan(wanted)


def _owners(repo: Any, known: Sequence[ListedSegment]) -> dict[int, int]:
    """Return the number of the segment of each changeset."""
    changelog = repo.changelog
    before: list[int] = []
    owners: dict[int, int] = {}
    for number, segment in enumerate(known):
        heads = list(map(changelog.rev, segment.heads))
        for rev in changelog.findmissingrevs(common=before, heads=heads):
            owners[rev] = number
        before += heads
    return owners


def _apply(repo: Any, tr: Any, streams: Sequence[IO[bytes]]) -> None:
    """Store the data of the files in packs.

    Raises ``ValueError`` or ``StorageError`` if a pack has anything else than
    the files of changesets in ``repo``.
    """
    get_rev = repo.changelog.index.get_rev
    sink = _sink(repo, tr)
    for stream in streams:
        linkrevs: list[int] = []
        for event in decoder.Decoder(stream).events():
            if isinstance(event, Changesets):
                revs = list(map(get_rev, event.nodes))
                if None in revs:
                    raise PackError('it has a changeset that is not here')
                linkrevs.extend(revs)
            elif event.kind != layout.FILE:
                continue
            elif isinstance(event, PackedFrame):
                sink.add_frame(event)
            elif isinstance(event, Index):
                if sink.add_index(event, linkrevs):
                    raise PackError('it has a file revision that is not here')
                _verify(repo, event)
    sink.finish()


def _verify(repo: Any, stored: Index) -> None:
    """Compare the content of files with their nodes.

    Raises ``StorageError``. In a clone, names and texts come from one server.
    Here, the names may have come from another one, and commands trust that
    texts which arrive later are the right ones.
    """
    for line in stored.lines:
        inner = absence.of_file(repo, line.name)
        # In the order of the pack, the base of each delta was read just before.
        for rev in map(inner.rev, line.nodes):
            if not absence.is_absent(inner, rev):
                text = inner.rawdata(rev)
                if len(text) != inner.rawsize(rev):
                    raise PackError('a text does not have its size')
