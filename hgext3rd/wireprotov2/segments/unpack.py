# SPDX-License-Identifier: GPL-2.0-or-later
"""The unpacker with which Mercurial applies a packed changegroup.

Revisions go to the storage as they are unpacked. Making a changegroup and a
container of them, for Mercurial to take apart again, took a seventh of the CPU
of a clone. ``packreading`` knows the layout of packed changegroups.
"""

from __future__ import annotations

import heapq
import io
from collections.abc import Iterator, Sequence
from typing import Any

from mercurial import changegroup, revlogutils
from mercurial.revlogutils import flagutil

from .packmodel import Item, PackError

_UNPACKERS = {b'02': changegroup.cg2unpacker, b'03': changegroup.cg3unpacker}


def merged(version: bytes, streams: Sequence[Iterator[Item]]) -> Iterator[Item]:
    """Yield several changegroups of flat manifests, in order, as one.

    The storage then opens each file once for all of them. Raises
    ``PackError``.
    """
    # Changesets, then manifests. Version 03 has a list of directories next,
    # which is empty for flat manifests.
    for _group in range(3 if version == b'03' else 2):
        for stream in streams:
            for item in stream:
                if item is None:
                    break
                yield item
            else:
                raise PackError('changegroup is cut short')
        yield None
    # Files come sorted. If they do not, a file comes twice, which is allowed.
    names = [
        (name, place)
        for place, stream in enumerate(streams)
        if (name := _name(stream)) is not None
    ]
    heapq.heapify(names)
    while names:
        name = names[0][0]
        yield name
        while names and names[0][0] == name:
            place = heapq.heappop(names)[1]
            for item in streams[place]:
                if item is None:
                    break
                yield item
            following = _name(streams[place])
            if following is not None:
                heapq.heappush(names, (following, place))
        yield None
    yield None
    for stream in streams:
        # This checks that the stream ends here.
        yield from stream


def _name(stream: Iterator[Item]) -> bytes | None:
    """Return the next name, None at the end of the list."""
    name = next(stream, None)
    if name is not None and not isinstance(name, bytes):
        raise PackError('a revision of no file')
    return name


def unpacker(version: bytes, items: Iterator[Item]) -> Any:
    """Return a changegroup unpacker of ``version`` over ``items``."""
    found = _classes[version](io.BytesIO(), b'UN')
    found.items = items
    return found


def _class(kind: Any) -> Any:
    """Return a subclass of an unpacker of Mercurial that reads items."""

    class ItemUnpacker(kind):
        # hg <= 7.0 has no such attribute.
        has_censor_flag = getattr(kind, 'has_censor_flag', False)
        items: Iterator[Item]

        def filelogheader(self) -> dict[bytes, bytes]:
            """Return the name of the next file, nothing after the last."""
            name = _name(self.items)
            return {} if name is None else {b'filename': name}

        def deltaiter(self) -> Iterator[Any]:
            """Yield the revisions of a group."""
            step = self.callback or _nothing
            for item in self.items:
                if item is None:
                    return
                if isinstance(item, bytes):
                    raise PackError('a name where a revision should be')
                step()
                node, p1, p2, link, base, delta, raw_flags = item
                flags = int.from_bytes(raw_flags, 'big')
                if flags & ~flagutil.REVIDX_KNOWN_FLAGS:
                    # hg <= 7.0 checks them after it has stored the revision.
                    raise PackError('unknown flags')
                yield _revision(
                    node,
                    p1,
                    p2,
                    link,
                    base,
                    delta,
                    flags,
                    {},
                    has_censor_flag=self.has_censor_flag,
                )

        def finish(self) -> None:
            """Raise ``PackError`` if anything is left."""
            for _item in self.items:
                raise PackError('revisions follow the last file')

    return ItemUnpacker


def _nothing() -> None:
    pass


def _tuple(*values: Any, has_censor_flag: bool = False) -> tuple[Any, ...]:
    return values


# hg <= 7.0 passes revisions as tuples.
_revision: Any = getattr(revlogutils, 'InboundRevision', _tuple)
_classes = {version: _class(kind) for version, kind in _UNPACKERS.items()}
