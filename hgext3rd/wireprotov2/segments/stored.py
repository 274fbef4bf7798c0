# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading revisions from storage as they are stored.

What is asked for is already known to be for everybody. Nothing here knows how
history is cut or what a pack looks like.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from mercurial import changelog, error, revlog
from mercurial.node import nullrev
from mercurial.revlogutils import constants

from ...amalgam.packs.layout import StoredRevision

#: Flags that say what a text is. The others describe how it is stored here.
SENT = (
    constants.REVIDX_ISCENSORED
    | constants.REVIDX_ELLIPSIS
    | constants.REVIDX_EXTSTORED
    | constants.REVIDX_HASCOPIESINFO
)

#: Stored deltas are read together, up to this sum of their bytes. A delta has
#: at most as many bytes as its text, and is rarely compressed to less than one
#: in RATIO.
BATCH_BYTES = 4 << 20
RATIO = 32

#: Fields of an entry of a revlog's index.
_FLAGS, _STORED, _SIZE, _BASE, _LINK, _P1, _P2, _NODE = range(8)

#: A flag of revlogs of files that exchange their parents for storage (7.2).
_EXCHANGED = getattr(revlog, 'FLAG_FILELOG_META', 0)


class Changeset(NamedTuple):
    """A changeset as storage has it."""

    node: bytes
    p1: bytes
    p2: bytes
    flags: int
    text: bytes


def changesets(repo: Any, revs: Sequence[int]) -> Iterator[Changeset]:
    """Yield changesets."""
    log = repo.unfiltered().changelog
    index = log.index
    deltaparent = log.deltaparent
    plain = type(log) is changelog.changelog
    for batch in _batches(revs, index):
        texts: dict[int, bytes] = {}
        if plain and all(deltaparent(rev) == nullrev for rev in batch):
            texts = _chunks(log, batch)
        for rev in batch:
            text = texts.get(rev)
            entry = index[rev]
            yield Changeset(
                entry[_NODE],
                index[entry[_P1]][_NODE],
                index[entry[_P2]][_NODE],
                entry[_FLAGS] & SENT,
                log.rawdata(rev) if text is None else text,
            )


def revisions(
    storage: Any, nodes: Iterable[bytes], first: int, links: Sequence[bytes]
) -> Iterator[StoredRevision]:
    """Yield those of ``nodes`` that belong to some changesets.

    ``links`` are the nodes of consecutive changesets, the first of which has
    the number ``first``. Revisions come in the order of storage. Deltas are
    made against revisions that precede, or are ancestors.
    """
    log: Any = None
    if hasattr(storage, 'get_revlog'):
        log = storage.get_revlog()
    if hasattr(log, 'revdiff') and not log._format_flags & _EXCHANGED:
        return _of_revlog(log, nodes, first, links)
    return _emitted(storage, nodes, first, links)


def outlines(
    storage: Any, nodes: Iterable[bytes], first: int, links: Sequence[bytes]
) -> Iterator[StoredRevision]:
    """Yield the same revisions as ``revisions`` without their data."""
    for rev in sorted(set(map(storage.rev, nodes))):
        link = storage.linkrev(rev) - first
        if 0 <= link < len(links):
            node = storage.node(rev)
            p1, p2 = storage.parents(node)
            yield emptied(node, p1, p2, links[link])


def emptied(node: bytes, p1: bytes, p2: bytes, link: bytes) -> StoredRevision:
    """Return a file revision as receivers store it that have no data of it."""
    flag = constants.REVIDX_EXTSTORED
    return StoredRevision(node, p1, p2, link, None, b'', flag, 0)


def _emitted(
    storage: Any, nodes: Iterable[bytes], first: int, links: Sequence[bytes]
) -> Iterator[StoredRevision]:
    """Yield revisions as any storage emits them."""
    rawsize = getattr(storage, '_revlog', storage).rawsize
    link_of = {}
    for node in nodes:
        link = storage.linkrev(storage.rev(node)) - first
        if 0 <= link < len(links):
            link_of[node] = links[link]
    if not link_of:
        return
    for emitted in storage.emitrevisions(
        list(link_of),
        nodesorder=b'storage',
        revisiondata=True,
        assumehaveparentrevisions=True,
    ):
        text = emitted.revision
        yield StoredRevision(
            emitted.node,
            emitted.p1node,
            emitted.p2node,
            link_of[emitted.node],
            emitted.basenode if text is None else None,
            emitted.delta if text is None else text,
            emitted.flags & SENT,
            rawsize(storage.rev(emitted.node)),
        )


def _of_revlog(
    log: Any, nodes: Iterable[bytes], first: int, links: Sequence[bytes]
) -> Iterator[StoredRevision]:
    """Yield revisions of a revlog, with the deltas that are stored.

    ``log`` may be any object with the interface of a revlog.
    """
    index = log.index
    get_rev = index.get_rev
    stop = first + len(links)
    entries: dict[int, Any] = {}
    for node in nodes:
        rev = get_rev(node)
        if rev is None:
            log.rev(node)  # raises the error that it is missing
        entry = index[rev]
        if first <= entry[_LINK] < stop:
            entries[rev] = entry
    # Other classes may have a part of their revisions elsewhere.
    plain = type(log) is revlog.revlog
    with log.reading():
        for batch in _batches(sorted(entries), index):
            bases = [_base(log, rev, entries) for rev in batch]
            read = [
                rev
                for rev, (_rev, is_stored) in zip(batch, bases, strict=True)
                if is_stored
            ]
            chunks = _chunks(log, read) if plain else {}
            for rev, (base, _is_stored) in zip(batch, bases, strict=True):
                data = chunks.get(rev)
                if data is None:
                    data = _content(log, rev, base)
                entry = entries[rev]
                size = entry[_SIZE]
                yield StoredRevision(
                    entry[_NODE],
                    index[entry[_P1]][_NODE],
                    index[entry[_P2]][_NODE],
                    links[entry[_LINK] - first],
                    None if base == nullrev else index[base][_NODE],
                    data,
                    entry[_FLAGS] & SENT,
                    size if size >= 0 else log.rawsize(rev),
                )


def _base(log: Any, rev: int, entries: dict[int, Any]) -> tuple[int, bool]:
    """Return what to send a revision as a delta of, and whether that is stored.

    ``entries`` are the index entries of the revisions that are sent.
    """
    entry = entries[rev]
    if entry[_FLAGS] & constants.REVIDX_RAWTEXT_CHANGING_FLAGS:
        return nullrev, False
    stored = base = log.deltaparent(rev)
    if base == nullrev:
        return nullrev, True
    if base not in entries:
        p1, p2 = entry[_P1], entry[_P2]
        if base not in (p1, p2) and not log.isancestorrev(base, rev):
            base = p2 if p1 == nullrev else p1
            if base == nullrev:
                return nullrev, False
    if log.flags(base) & constants.REVIDX_RAWTEXT_CHANGING_FLAGS:
        return nullrev, False
    return base, base == stored


def _content(log: Any, rev: int, base: int) -> bytes:
    """Return a revision as a delta of ``base``, or its text if that is null."""
    if base != nullrev:
        return bytes(log.revdiff(base, rev))
    try:
        return bytes(log.rawdata(rev))
    except error.CensoredNodeError as e:
        return bytes(e.tombstone)


def _batches(revs: Iterable[int], index: Any) -> Iterator[list[int]]:
    """Yield revisions whose content is read at once."""
    batch: list[int] = []
    size = 0
    for rev in revs:
        entry = index[rev]
        size += min(entry[_SIZE], RATIO * entry[_STORED])
        batch.append(rev)
        if size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _chunks(log: Any, revs: list[int]) -> dict[int, bytes]:
    """Return what a revlog stores for revisions, decompressed.

    The result is empty if this is none of Mercurial's revlogs in Python.
    """
    read = getattr(log._inner, '_chunks', None)
    if read is None:
        return {}
    return dict(zip(revs, map(bytes, read(revs)), strict=True))
