# SPDX-License-Identifier: GPL-2.0-or-later
"""The records of revisions in responses, made of prepared bytes of CBOR.

A clone has tens of thousands of them. Their keys are constant and come in the
order that CBOR maps have in this protocol (sorted), so a record is a mere
concatenation. The general encoder took three times as long. Nothing here knows
repositories.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ...proto import cbor

_NODE = b'DnodeT'
_PARENTS = b'Gparents\x82T'
_LINKNODE = b'HlinknodeT'
_BASENODE = b'MdeltabasenodeT'
_FLAGS = b'Eflags'
_REVISION_FOLLOWS = b'Ofieldsfollowing\x81\x82Hrevision'
_DELTA_FOLLOWS = b'Ofieldsfollowing\x81\x82Edelta'
_BOOKMARKS = cbor.encode(b'bookmarks')
_PHASES = {
    name: cbor.encode(b'phase') + cbor.encode(name)
    for name in (b'public', b'draft', b'secret')
}
_HEADS = tuple(cbor.head(cbor.MAP, n) for n in range(8))

# Local names, since they are used for every record.
head = cbor.head
UINT = cbor.UINT
BYTES = cbor.BYTES


def total(count: int) -> bytes:
    """Return the map that precedes ``count`` records."""
    return cbor.encode({b'totalitems': count})


def changeset(
    node: bytes,
    parents: tuple[bytes, bytes] | None = None,
    phase: bytes | None = None,
    bookmarks: Sequence[bytes] = (),
    revision: bytes | None = None,
) -> bytes:
    """Return the record of a changeset; absent fields are left out."""
    parts = [_NODE, node]
    count = 1
    if parents is not None:
        parts += (_PARENTS, parents[0], b'T', parents[1])
        count += 1
    if phase is not None:
        parts.append(_PHASES[phase])
        count += 1
    if revision is not None:
        parts[:0] = (_REVISION_FOLLOWS, head(UINT, len(revision)))
        parts += (head(BYTES, len(revision)), revision)
        count += 1
    if bookmarks:
        parts[:0] = (_BOOKMARKS, cbor.encode(sorted(bookmarks)))
        count += 1
    parts.insert(0, _HEADS[count])
    return b''.join(parts)


def stored(
    node: bytes,
    parents: tuple[bytes, bytes] | None = None,
    linknode: bytes | None = None,
    revision: bytes | None = None,
    delta: bytes | None = None,
    basenode: bytes | None = None,
    flags: int = 0,
) -> bytes:
    """Return the record of a file or manifest revision.

    Its data is the full text ``revision``, or ``delta`` against ``basenode``,
    or neither. Absent fields are left out.
    """
    count = 1
    parts: list[bytes] = [b'']
    if revision is not None:
        count += 1
        if flags:
            count += 1
            parts += (_REVISION_FOLLOWS, head(UINT, len(revision)))
            parts += (_FLAGS, head(UINT, flags))
        else:
            parts += (_REVISION_FOLLOWS, head(UINT, len(revision)))
    elif delta is not None and basenode is not None:
        count += 2
        parts += (_BASENODE, basenode, _DELTA_FOLLOWS, head(UINT, len(delta)))
        if flags:
            count += 1
            parts += (_FLAGS, head(UINT, flags))
    if linknode is not None:
        count += 1
        parts += (_LINKNODE, linknode)
    parts += (_NODE, node)
    if parents is not None:
        count += 1
        parts += (_PARENTS, parents[0], b'T', parents[1])
    if revision is not None:
        parts += (head(BYTES, len(revision)), revision)
    elif delta is not None:
        parts += (head(BYTES, len(delta)), delta)
    parts[0] = _HEADS[count]
    return b''.join(parts)


def batched(records: Iterable[bytes], size: int = 65536) -> Iterator[bytes]:
    """Yield the records joined to chunks of about ``size`` bytes.

    The code that handles the chunks then handles hundreds of records at once.
    """
    batch: list[bytes] = []
    have = 0
    for record in records:
        batch.append(record)
        have += len(record)
        if have >= size:
            yield b''.join(batch)
            batch = []
            have = 0
    if batch:
        yield b''.join(batch)
