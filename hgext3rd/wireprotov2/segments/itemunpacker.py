# SPDX-License-Identifier: GPL-2.0-or-later
"""The unpacker with which Mercurial applies packs one revision at a time.

This is for storages that cannot take packs as they are. ``bulkunpacker`` is
for the others.
"""

from __future__ import annotations

import heapq
import io
from collections.abc import Iterator, Sequence
from typing import Any

from mercurial import changegroup, revlogutils
from mercurial.revlogutils import flagutil

from ...amalgam.packs.errors import PackError
from ...amalgam.packs.layout import Revision
from .unpacking import Item


def merged(streams: Sequence[Iterator[Item]]) -> Iterator[Item]:
    """Yield several changegroups of flat manifests, in order, as one.

    The storage then opens each file once for all of them. Raises
    ``PackError``.
    """
    # Changesets, manifests, and the list of directories, which is empty.
    for _group in range(3):
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


def unpacker(items: Iterator[Item]) -> Any:
    """Return a changegroup unpacker over ``items``."""
    found = ItemUnpacker(io.BytesIO(), b'UN')
    found.items = items
    return found


class ItemUnpacker(changegroup.cg3unpacker):
    """Takes revisions from ``items``."""

    # hg <= 7.0 has no such attribute.
    has_censor_flag = getattr(changegroup.cg3unpacker, 'has_censor_flag', False)
    items: Iterator[Item]
    #: Mercurial opens the files itself, which counts them.
    files: frozenset[bytes] = frozenset()

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
            if not isinstance(item, Revision):
                raise PackError('a name where a revision should be')
            step()
            node, p1, p2, link, base, delta, flags = item
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


def _nothing() -> None:
    pass


def _tuple(*values: Any, has_censor_flag: bool = False) -> tuple[Any, ...]:
    return values


# hg <= 7.0 passes revisions as tuples.
_revision: Any = getattr(revlogutils, 'InboundRevision', _tuple)
