# SPDX-License-Identifier: GPL-2.0-or-later
"""A packed changegroup in the form in which Mercurial applies changegroups.

Its revisions go to the storage as they are unpacked: making a changegroup and
a container of them, for Mercurial to take apart again, was a seventh of the
CPU of a clone.
"""

from __future__ import annotations

import heapq
import io
from collections.abc import Iterator, Sequence
from typing import Any

from mercurial import changegroup, revlogutils
from mercurial.revlogutils import flagutil

from .pack import Item, PackError

_UNPACKERS = {b'02': changegroup.cg2unpacker, b'03': changegroup.cg3unpacker}


def merged(version: bytes, streams: Sequence[Iterator[Item]]) -> Iterator[Item]:
    """Yield several changegroups of flat manifests, in order, as one.

    So the storage opens a file once for all of them.
    """
    # changesets, manifests, and in version 03 directories, which are none
    for _group in range(3 if version == b'03' else 2):
        for stream in streams:
            for item in stream:
                if item is None:
                    break
                yield item
            else:
                raise PackError('changegroup is cut short')
        yield None
    # files come sorted; where they do not, they merely come twice
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
        # its end is checked there
        yield from stream


def _name(stream: Iterator[Item]) -> bytes | None:
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
    class unpacker(kind):
        # hg <= 7.0 does not ask
        has_censor_flag = getattr(kind, 'has_censor_flag', False)
        items: Iterator[Item]

        def filelogheader(self) -> dict[bytes, bytes]:
            name = _name(self.items)
            return {} if name is None else {b'filename': name}

        def deltaiter(self) -> Iterator[Any]:
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
                    # hg <= 7.0 looks at them when it is too late
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
            """Check that nothing is left. Raises ``PackError``."""
            for _item in self.items:
                raise PackError('revisions follow the last file')

    return unpacker


def _nothing() -> None:
    pass


def _tuple(*values: Any, has_censor_flag: bool = False) -> tuple[Any, ...]:
    return values


# hg <= 7.0 passes revisions as tuples
_revision: Any = getattr(revlogutils, 'InboundRevision', _tuple)
_classes = {version: _class(kind) for version, kind in _UNPACKERS.items()}
