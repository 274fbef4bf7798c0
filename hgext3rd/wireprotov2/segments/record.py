# SPDX-License-Identifier: GPL-2.0-or-later
"""The pieces of one repository: found, extended, remembered, looked up.

Reads the repository's public changesets and keeps the record of closed
pieces in its cache folder, so that pieces stay what they are. Losing the
record costs new names for some pieces, nothing else. Knows neither bundles
nor the wire.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from mercurial import changegroup, phases, requirements

from .. import censoring
from ..requirements import SHALLOW
from . import cut

FILE = b'wireprotov2-segments'

#: Estimates weigh a changeset by the size of its changelog entry, which
#: counts the files it touches, times what such a byte costs in this store on
#: average, as a power of two: replicas then agree, and for long.
LEAST_FACTOR = 2

#: Repositories whose listing a process remembers.
MOST_LISTINGS = 64
_listings: dict[bytes, tuple[tuple[Any, ...], Listing]] = {}


def offered(repo: Any, narrow: object) -> bool:
    """False where pieces would hold more than the requester may have.

    Or more than the repository has. ``narrow`` is the access control that
    applies, None if there is none.
    """
    partial = {requirements.NARROW_REQUIREMENT, SHALLOW}
    return narrow is None and not partial & set(repo.requirements)


def changegroup_version(repo: Any) -> bytes:
    """Return the oldest changegroup version that can carry this history.

    Version 03 is the first that says of a revision that it was censored.
    """
    version: bytes = changegroup.safeversion(repo)
    if censoring.generation(repo):
        versions = changegroup.supportedoutgoingversions(repo)
        version = min((v for v in versions if v >= b'03'), default=version)
    return version


@dataclass(frozen=True, slots=True)
class Listing:
    """All public changesets in pieces, in order of application.

    ``closed`` pieces stay for ever; ``rest`` is replaced as history grows.
    """

    closed: tuple[cut.Piece, ...]
    rest: cut.Piece | None

    def pieces(self) -> tuple[cut.Piece, ...]:
        """Return every piece."""
        return self.closed if self.rest is None else (*self.closed, self.rest)


class Agreement(Protocol):
    """Where replicas tell each other how they cut.

    Best effort: without it, or when it forgets, replicas that received
    changesets in other orders merely cut them otherwise.
    """

    def learn(self, version: bytes, previous: bytes) -> list[bytes] | None:
        """Return the nodes of the piece after the one named ``previous``."""

    def teach(
        self, version: bytes, previous: bytes, nodes: list[bytes]
    ) -> None:
        """Tell others of a piece that was closed here."""


def listing(repo: Any, agreement: Agreement | None = None) -> Listing:
    """Return the pieces of ``repo``, closing those that are full by now."""
    changelog = repo.unfiltered().changelog
    excluded = _excluded(repo)
    version = changegroup_version(repo)
    state = (len(changelog), changelog.tip(), excluded, version)
    known = _listings.get(repo.spath)
    if known is not None and known[0] == state:
        return known[1]
    found = _listing(repo, version, excluded, agreement)
    if len(_listings) >= MOST_LISTINGS:
        _listings.clear()
    _listings[repo.spath] = (state, found)
    return found


def find(
    repo: Any, name: bytes, agreement: Agreement | None = None
) -> cut.Piece | None:
    """Return the piece of that name, verified against the repository."""
    for piece in listing(repo, agreement).pieces():
        if piece.name == name:
            node = repo.unfiltered().changelog.node
            nodes = (node(rev) for rev in piece.revs())
            version = changegroup_version(repo)
            if cut.piece_name(version, nodes) == name:
                return piece
            # revisions were renumbered in a way nobody noticed
            _listings.pop(repo.spath, None)
            repo.cachevfs.tryunlink(FILE)
            return None
    return None


def _excluded(repo: Any) -> frozenset[int]:
    """Return the revisions that are in no piece, however old.

    What a publishing repository serves becomes public where it arrives, so
    there only secret and hidden changesets are left out, else drafts too. A
    draft that is rewritten invalidates its piece and those after it.
    """
    hidden: frozenset[int] = repo.filtered(b'served').changelog.filteredrevs
    unfiltered = repo.unfiltered()
    cache = unfiltered._phasecache
    if repo.publishing() or not cache.hasnonpublicphases(unfiltered):
        return hidden
    return hidden | set(cache.getrevset(unfiltered, phases.mutablephases))


def _listing(
    repo: Any,
    version: bytes,
    excluded: frozenset[int],
    agreement: Agreement | None,
) -> Listing:
    changelog = repo.unfiltered().changelog
    known = cut.intact(_read(repo, version), sorted(excluded))
    candidates = [rev for rev in known.skipped() if rev not in excluded]
    later = range(known.upto, len(changelog))
    candidates.extend(rev for rev in later if rev not in excluded)
    record = known
    if not record.factor:
        record = replace(record, factor=_factor(repo))
    if agreement is not None:
        record, candidates = _agreed(repo, record, candidates, agreement)
    factor = record.factor
    rawsize = changelog.rawsize
    closed, rest = cut.cut(
        candidates,
        lambda rev: rawsize(rev) * factor,
        record.size,
        record.changesets,
    )
    for revs in closed:
        if agreement is not None:
            nodes = [changelog.node(rev) for rev in revs]
            agreement.teach(version, _last_name(record), nodes)
        record = _with_piece(repo, record, revs)
    if closed:
        record = replace(record, factor=_factor(repo))
    if record != known:
        _write(repo, record)
    return Listing(record.pieces, _piece(repo, record, rest) if rest else None)


def _agreed(
    repo: Any,
    record: cut.Record,
    candidates: list[int],
    agreement: Agreement,
) -> tuple[cut.Record, list[int]]:
    """Close pieces as others did; return the record and what remains."""
    left = set(candidates)
    while left:
        nodes = agreement.learn(record.changegroup, _last_name(record))
        revs = _usable(repo, nodes, left) if nodes else None
        if not revs:
            break
        record = _with_piece(repo, record, revs)
        left.difference_update(revs)
    return record, sorted(left)


def _usable(
    repo: Any, nodes: list[bytes], candidates: set[int]
) -> list[int] | None:
    """Return the revisions of a piece others cut, or None if it is no use.

    It must hold nothing but candidates, and all their ancestors among them.
    """
    changelog = repo.unfiltered().changelog
    get_rev = changelog.index.get_rev
    revs = {get_rev(node) for node in nodes}
    if not revs <= candidates:
        return None
    outside = candidates - revs
    for rev in revs:
        if not outside.isdisjoint(changelog.parentrevs(rev)):
            return None
    return sorted(revs)


def _last_name(record: cut.Record) -> bytes:
    return record.pieces[-1].name if record.pieces else b''


def _with_piece(
    repo: Any, record: cut.Record, revs: Sequence[int]
) -> cut.Record:
    piece = _piece(repo, record, revs)
    return replace(record, pieces=(*record.pieces, piece))


def _read(repo: Any, version: bytes) -> cut.Record:
    """Return the record as far as its pieces still are as recorded.

    History is stripped rarely but rightfully.
    """
    data = repo.cachevfs.tryread(FILE)
    record = cut.decode_record(data) if data else None
    if record is None or record.changegroup != version:
        return cut.Record(version)
    changelog = repo.unfiltered().changelog
    for index, piece in enumerate(record.pieces):
        highest = piece.highest
        if highest >= len(changelog) or changelog.node(highest) != piece.last:
            return replace(record, pieces=record.pieces[:index])
    return record


def _piece(repo: Any, record: cut.Record, revs: Sequence[int]) -> cut.Piece:
    changelog = repo.unfiltered().changelog
    parents = {p for rev in revs for p in changelog.parentrevs(rev)}
    nodes = [changelog.node(rev) for rev in revs]
    return cut.Piece(
        name=cut.piece_name(record.changegroup, nodes),
        ranges=cut.as_ranges(revs),
        heads=tuple(
            node
            for rev, node in zip(revs, nodes, strict=True)
            if rev not in parents
        ),
        changesets=len(revs),
        size=sum(map(changelog.rawsize, revs)) * record.factor,
        last=nodes[-1],
    )


def _factor(repo: Any) -> int:
    changelog = repo.unfiltered().changelog
    described = sum(changelog.rawsize(rev) for rev in changelog)
    ratio = _store_size(repo) / max(described, 1)
    factor: int = 2 ** round(math.log2(max(ratio, LEAST_FACTOR)))
    return factor


def _store_size(repo: Any) -> int:
    """Return the bytes in the store, without blobs that are not history."""
    total = 0
    for folder, subfolders, names in os.walk(repo.spath):
        if b'lfs' in subfolders and folder == repo.spath:
            subfolders.remove(b'lfs')
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except FileNotFoundError:
                continue
    return total


def _write(repo: Any, record: cut.Record) -> None:
    try:
        with repo.cachevfs(FILE, b'wb', atomictemp=True) as stream:
            stream.write(cut.encode_record(record))
    except OSError as e:
        # read-only media: the same pieces are found again by whoever asks
        repo.ui.debug(b'cannot record segments: %s\n' % bytes(str(e), 'ascii'))
