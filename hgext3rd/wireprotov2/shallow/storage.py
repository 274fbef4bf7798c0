# SPDX-License-Identifier: GPL-2.0-or-later
"""Repositories that know all changesets, and the files of recent ones only.

A file revision whose data is not here is in its file's history all the same,
with its node, parents and changeset: stored empty, with the flag that says
data is stored externally. Git LFS uses that flag too, but its data is never
empty. So every kind of storage holds what is missing as it holds the rest.
Data that arrives later is kept under its node below ``.hg/store/shallow``.

What reads or builds on data that is not here ends with ``MissingFileData``.
Nothing here knows the wire, nor which changesets lack files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import zstandard
from mercurial import error, mdiff
from mercurial.i18n import _
from mercurial.node import hex, nullid, nullrev, short
from mercurial.revlogutils.constants import REVIDX_EXTSTORED

from ..requirements import SHALLOW

# in the store
FOLDER = b'shallow'


class MissingFileData(error.StorageError):
    """The data of a file revision was not fetched."""

    def __init__(self, repo: Any, path: bytes, linkrev: int) -> None:
        super().__init__(
            _(b'%s of changeset %s is not here')
            % (path, short(repo.unfiltered().changelog.node(linkrev))),
            hint=_(
                b'this repository has the files of recent changesets only; '
                b"'hg pull --depth N' gets those of N generations"
            ),
        )


def is_shallow(repo: Any) -> bool:
    """Return whether files may be missing."""
    return SHALLOW in repo.requirements


def set_depth_of_command(repo: Any, depth: bytes) -> None:
    """Note what ``hg pull --depth`` says, which Mercurial does not pass on."""
    repo.unfiltered().shallow_depth = depth


def depth_of_command(repo: Any) -> bytes:
    """Return what ``set_depth_of_command`` noted, empty if nothing."""
    depth: bytes = getattr(repo.unfiltered(), 'shallow_depth', b'')
    return depth


# -- files


def guarded(repo: Any, filelog: Any) -> Any:
    """Put the checks below around a filelog and what stores its revisions."""
    filelog.__class__ = _class(type(filelog), _filelog_class)
    storage = filelog._revlog
    storage.__class__ = _class(type(storage), _storage_class)
    storage.shallow_repo = repo.unfiltered()
    storage.shallow_parents = {}
    read, write, raw = storage._flagprocessors.get(
        REVIDX_EXTSTORED, (None, None, None)
    )

    def read_or_nothing(store: Any, text: bytes) -> Any:
        return read(store, text) if text else (text, False)

    def raw_or_nothing(store: Any, text: bytes) -> Any:
        return raw(store, text) if text else False

    storage._flagprocessors[REVIDX_EXTSTORED] = (
        read_or_nothing,
        write,
        raw_or_nothing,
    )
    return filelog


def is_absent(storage: Any, rev: int) -> bool:
    """Return whether storage itself has no data of a revision."""
    return bool(
        rev != nullrev
        and storage.flags(rev) & REVIDX_EXTSTORED
        and not storage.rawsize(rev)
    )


def is_missing(repo: Any, storage: Any, node: bytes) -> bool:
    """Return whether the data of a revision is nowhere here.

    ``storage`` is what is inside a filelog; it has the revision.
    """
    return is_absent(storage, storage.rev(node)) and not has_text(repo, node)


def _fetched(storage: Any, rev: int) -> bytes:
    """Return data that came later."""
    repo = storage.shallow_repo
    node = storage.node(rev)
    text = read_text(repo, node)
    if text is None:
        raise MissingFileData(repo, storage.target[1], storage.linkrev(rev))
    storage.checkhash(text, node, rev=rev)
    return text


def _brings_data(storage: Any, rev: int | None, delta: Any, flags: int) -> bool:
    # those with flags may come without, or with what stands for it
    return bool(
        rev is not None
        and delta is not None
        and not flags
        and is_absent(storage, rev)
    )


def _with_parents_noted(storage: Any, deltas: Iterable[Any]) -> Iterator[Any]:
    """Note parents that must not be changed.

    Mercurial swaps those that are wrong (its issue 6528), by texts that are
    not here.
    """
    for data in deltas:
        if isinstance(data, tuple):  # hg <= 7.0
            node, p1, p2 = data[:3]
            flags = data[6]
        else:
            node, p1, p2, flags = data.node, data.p1, data.p2, data.flags
        if flags & REVIDX_EXTSTORED:
            storage.shallow_parents[node] = p1, p2
        yield data


class _Incoming:
    """Incoming revisions, made such that ``storage`` can take them.

    Iterated by what adds them; ``finish`` comes after.
    """

    def __init__(self, storage: Any, deltas: Iterable[Any]) -> None:
        self._storage = storage
        self._deltas = deltas
        # what storage ignores for it has it, though without data
        self._late: list[tuple[int, bytes, bytes]] = []

    def __iter__(self) -> Iterator[Any]:
        storage = self._storage
        get_rev = storage.index.get_rev
        for data in self._deltas:
            is_tuple = isinstance(data, tuple)  # hg <= 7.0
            if is_tuple:
                node, (base, delta, flags) = data[0], data[4:7]
            else:
                node, base = data.node, data.delta_base
                delta, flags = data.delta, data.flags
            parents = storage.shallow_parents.pop(node, None)
            if parents is not None:
                if is_tuple:
                    data = (node, *parents, *data[3:])
                else:
                    data.p1, data.p2 = parents
            rev = get_rev(node)
            if delta is None or rev is not None:
                if _brings_data(storage, rev, delta, flags):
                    self._late.append((rev, base, bytes(delta)))
                yield data
                continue
            rev = get_rev(base)
            if rev is None or not is_absent(storage, rev):
                yield data
                continue
            text = bytes(mdiff.patches(_fetched(storage, rev), [bytes(delta)]))
            delta = mdiff.replacediffheader(0, len(text)) + text
            if is_tuple:
                yield (*data[:4], nullid, delta, *data[6:])
            else:
                data.delta_base, data.delta = nullid, delta
                yield data

    def finish(self) -> None:
        """Keep data of revisions that storage had without."""
        storage = self._storage
        for rev, base, delta in self._late:
            if not has_text(storage.shallow_repo, storage.node(rev)):
                text = mdiff.patches(storage.revision(base), [delta])
                keep_text(storage, rev, bytes(text))


# Objects become ones of these classes when they exist already. That takes
# classes with a single base, which are made for each class met.
_classes: dict[type, type] = {}


def _class(kind: Any, make: Any) -> type:
    if hasattr(kind, 'is_shallow'):
        return kind
    found = _classes.get(kind)
    if found is None:
        found = _classes[kind] = make(kind)
        found.__name__ = kind.__name__
    return found


def _filelog_class(kind: Any) -> type:
    class shallowfilelog(kind):
        is_shallow = True

        def addgroup(self, deltas: Any, *args: Any, **kwargs: Any) -> Any:
            noted = _with_parents_noted(self._revlog, deltas)
            return super().addgroup(noted, *args, **kwargs)

        def renamed(self, node: bytes) -> Any:
            # Files begin where they are not known to be copies: to abort at
            # each would make most commands useless.
            storage = self._revlog
            if storage.parents(node)[0] == nullid and is_missing(
                storage.shallow_repo, storage, node
            ):
                return False
            return super().renamed(node)

    return shallowfilelog


def _storage_class(kind: Any) -> type:
    class shallowstorage(kind):
        is_shallow = True

        def _revisiondata(
            self, nodeorrev: Any, *args: Any, **kwargs: Any
        ) -> Any:
            rev = nodeorrev
            if not isinstance(nodeorrev, int):
                rev = self.rev(nodeorrev)
            if is_absent(self, rev):
                return _fetched(self, rev)
            return super()._revisiondata(nodeorrev, *args, **kwargs)

        def addrevision(self, text: bytes, *args: Any, **kwargs: Any) -> Any:
            rev = super().addrevision(text, *args, **kwargs)
            if is_absent(self, rev):
                keep_text(self, rev, text)
            return rev

        def addgroup(self, deltas: Any, *args: Any, **kwargs: Any) -> Any:
            incoming = _Incoming(self, deltas)
            result = super().addgroup(incoming, *args, **kwargs)
            incoming.finish()
            return result

        def emitrevisions(self, *args: Any, **kwargs: Any) -> Any:
            for found in super().emitrevisions(*args, **kwargs):
                if found.flags & REVIDX_EXTSTORED and is_absent(
                    self, self.rev(found.node)
                ):
                    # receivers get what a node is the hash of
                    found.flags &= ~REVIDX_EXTSTORED
                yield found

        def verifyintegrity(self, state: Any) -> Any:
            for problem in super().verifyintegrity(state):
                node = problem.node
                if node is None or not is_absent(self, self.rev(node)):
                    yield problem
                    continue
                state[b'skipread'].add(node)
                repo = self.shallow_repo
                try:
                    self.revision(node)
                except MissingFileData:
                    repo.shallow_missing += 1
                except error.StorageError:
                    yield problem

    return shallowstorage


# -- data that arrived later


def _place(node: bytes) -> bytes:
    name = hex(node)
    return b'%s/%s/%s' % (FOLDER, name[:2], name[2:])


def has_text(repo: Any, node: bytes) -> bool:
    """Return whether the data of a file revision arrived later."""
    return bool(repo.svfs.exists(_place(node)))


def read_text(repo: Any, node: bytes) -> bytes | None:
    """Return data that arrived later, unchecked; None if none did."""
    data = repo.svfs.tryread(_place(node))
    if not data:
        return None
    try:
        text: bytes = zstandard.ZstdDecompressor().decompress(data)
    except zstandard.ZstdError:
        # as if cut short: fetched again when somebody asks for it
        return None
    return text


def keep_text(storage: Any, rev: int, text: bytes) -> None:
    """Keep the data of a revision that storage has without, if it is new."""
    repo = storage.shallow_repo
    if not has_text(repo, storage.node(rev)):
        write_text(repo, storage, rev, text)


def write_text(repo: Any, storage: Any, rev: int, text: bytes) -> None:
    """Keep the data of a revision. Raises if it does not match its node."""
    node = storage.node(rev)
    storage.checkhash(text, node, rev=rev)
    place = _place(node)
    repo.svfs.makedirs(os.path.dirname(place))
    with repo.svfs(place, b'wb', atomictemp=True) as stream:
        stream.write(zstandard.ZstdCompressor(level=6).compress(text))
