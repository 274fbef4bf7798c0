# SPDX-License-Identifier: GPL-2.0-or-later
"""Differences between the Mercurial versions that this extension supports.

Every comment with a version in it belongs here or in
``integration.coremodules``. Code for a version can go when that version is no
longer supported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from mercurial import filelog, policy, revlog, revlogutils, util
from mercurial.revlogutils import constants

mpatch = policy.importmod('mpatch')

try:
    from mercurial.revlogutils import config as config
except ImportError:
    # hg <= 7.0
    config = revlog

# The bytes that a text with metadata begins with. hg <= 7.0 has no name for
# them.
META_MARKER: bytes = getattr(constants, 'META_MARKER', b'\x01\n')

# Flags that do not change the text of a revision. hg <= 7.1 has none.
NEUTRAL_FLAGS: int = getattr(constants, 'REVIDX_NEUTRAL_FLAGS', 0)

# hg <= 7.0 does not say whether a file will be written to.
_HAS_WRITABLE = 'writable' in filelog.filelog.__init__.__code__.co_varnames


def make_index(entries: bytes) -> Any:
    """Return Mercurial's index object for entries of revlog version 1."""
    return _parse_index(entries)


def _find_parser() -> Any:
    """Return Mercurial's parser of an index, as a function of its bytes."""
    arguments = revlog.parse_index_v1.__code__.co_argcount
    if arguments >= 4:
        return lambda data: revlog.parse_index_v1(data, False, True, False)[0]
    # hg <= 7.1
    return lambda data: revlog.parse_index_v1(data, False, True)[0]


_parse_index = _find_parser()


def index_entry(
    flags: int,
    rawsize: int,
    base: int,
    linkrev: int,
    p1: int,
    p2: int,
    node: bytes,
) -> tuple[Any, ...]:
    """Return an entry to append to Mercurial's index object."""
    # Arguments by position: this runs for each revision of a clone, and passing
    # them by name takes longer.
    entry: tuple[Any, ...] = revlogutils.entry(
        0, 0, base, linkrev, p1, p2, node, flags, rawsize
    )
    return entry


def file_writable(writable: bool = not _HAS_WRITABLE) -> bool:
    """Return whether the arguments of ``repo.file()`` ask for a writable file.

    In hg <= 7.0 every file is writable.
    """
    return writable


class Incoming:
    """One revision of a changegroup, as ``addgroup`` receives it in hg 7.2.

    ``raw_text`` is the full text if the sender sent one, otherwise None.
    ``delta`` is then a delta of the revision with the node ``delta_base``.
    """

    __slots__ = (
        'compression',
        'delta',
        'delta_base',
        'flags',
        'link_node',
        'node',
        'p1',
        'p2',
        'raw_text',
        'sidedata',
    )
    node: bytes
    p1: bytes
    p2: bytes
    link_node: bytes
    delta_base: bytes
    delta: bytes | None
    flags: int
    sidedata: Any
    compression: Any
    raw_text: bytes | None


def incoming(deltas: Iterable[Any]) -> Iterator[Any]:
    """Yield the revisions of a changegroup as objects with named fields.

    The objects have the attributes of ``Incoming``.
    """
    for data in deltas:
        if not isinstance(data, tuple):
            yield data
            continue
        # hg <= 7.0 has tuples.
        item = Incoming()
        (
            item.node,
            item.p1,
            item.p2,
            item.link_node,
            item.delta_base,
            item.delta,
            item.flags,
            item.sidedata,
        ) = data
        item.raw_text = None
        item.compression = None
        yield item


def inbound_compression(data: Any) -> Any:
    """Return how the delta of a revision is compressed, or None."""
    # hg <= 7.1 has no compressed deltas.
    return getattr(data, 'compression', None)


def decompress_inbound(comp: Any, data: bytes) -> bytes:
    """Decompress the delta ``data`` of a changegroup revision.

    ``comp`` is the value that ``inbound_compression`` returned.
    """
    header = bytes(comp)
    if header in (b'', b'u', b'\0'):
        return data
    return (
        util.compengines.forrevlogheader(header)
        .revlogcompressor()
        .decompress(data)
    )


def borrow(cls: type, name: str) -> Any:
    """Return a function of a class of Mercurial, or None if it lacks it."""
    return getattr(cls, name, None)


def cached_delta(cached: Any) -> bytes:
    """Return the delta of Mercurial's CachedDelta."""
    # hg <= 7.0 has a tuple (base, delta), hg <= 7.1 an attribute ``delta``.
    for name in ('u_delta', 'delta'):
        delta = getattr(cached, name, None)
        if delta is not None:
            return bytes(delta)
    return bytes(cached[1])


def cached_base(cached: Any) -> int:
    """Return the base revision of Mercurial's CachedDelta."""
    # hg <= 7.0 has a tuple (base, delta).
    base: int = cached[0] if isinstance(cached, tuple) else cached.base
    return base


def inner_revlog(log: Any) -> Any:
    """Return the object with a revlog's interface of a filelog or manifest."""
    return log.get_revlog()


def invalidate_store(store: Any) -> None:
    """Make Mercurial's store object read its list of files again."""
    try:
        store.invalidatecaches(clearfilecache=True)
    except TypeError:
        # hg <= 7.1
        store.invalidatecaches()
