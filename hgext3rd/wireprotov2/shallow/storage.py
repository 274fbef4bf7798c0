# SPDX-License-Identifier: GPL-2.0-or-later
"""File revisions without data, in repositories of limited depth.

A repository of limited depth has all changesets, but the files of recent ones
only. A file revision whose data is missing is still part of its file's history,
with its node, parents and changeset: it is stored empty, with the flag that
says that data is stored externally. (Large files of lfs have that flag too, but
are never empty.) So every kind of storage can hold it. Data that arrives later
is kept by ``texts``.

Reading missing data, or applying a delta to it, asks ``demand`` for it. Nothing
here knows the wire, nor which changesets lack files (see ``extent``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mercurial import error, mdiff
from mercurial.node import nullid
from mercurial.revlogutils.constants import REVIDX_EXTSTORED

from . import demand, texts
from .absence import is_absent, is_missing, of_file
from .demand import MissingFileData

Fetch = Callable[[bytes, bytes, bytes, bytes], bytes | None]


def guarded(repo: Any, filelog: Any) -> Any:
    """Return ``filelog`` after giving it and its storage the subclasses below.

    They report missing data, and accept revisions without data.
    """
    filelog.__class__ = _class(type(filelog), _filelog_class)
    storage = filelog._revlog
    storage.__class__ = _class(type(storage), _storage_class)
    storage.shallow_repo = repo.unfiltered()
    storage.shallow_parents = {}
    storage.shallow_reopened = False
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


def _reopened(storage: Any, node: bytes) -> Any:
    """Return the storage of the same file as it is now, or None.

    Another process may have completed the repository (see ``completion``) since
    ``storage`` was opened. None says that ``storage`` is that new already, or
    that the revision has no data now.

    While ``storage`` adds revisions, it is new, because the repository is
    locked, and parts of what it adds are on disk already.
    """
    if storage.shallow_reopened or storage._adding_group:
        return None
    fresh = of_file(storage.shallow_repo, storage.target[1])
    fresh.shallow_reopened = True
    if not fresh.hasnode(node) or is_absent(fresh, fresh.rev(node)):
        return None
    return fresh


def _late_text(storage: Any, rev: int) -> bytes:
    """Return the data of a revision that is absent from ``storage``.

    Raises ``MissingFileData`` if it has not arrived later and cannot be fetched.
    """
    repo = storage.shallow_repo
    node = storage.node(rev)
    text = _kept_text(storage, rev)
    if text is not None:
        return text
    fresh = _reopened(storage, node)
    if fresh is not None:
        return bytes(fresh.revision(node))
    demand.read(storage, rev)
    text = _kept_text(storage, rev)
    if text is None:
        raise MissingFileData(repo, storage.target[1], storage.linkrev(rev))
    return text


def _kept_text(storage: Any, rev: int) -> bytes | None:
    """Return data that arrived later, None if there is none or it is damaged."""
    repo = storage.shallow_repo
    node = storage.node(rev)
    text = texts.read_text(repo, node)
    if text is None:
        return None
    try:
        storage.checkhash(text, node, rev=rev)
    except error.StorageError:
        texts.of_repo(repo).discard(node)
        return None
    return text


def _keep_text(storage: Any, rev: int, text: bytes) -> None:
    """Keep the data of an absent revision unless it is kept already."""
    repo = storage.shallow_repo
    if not texts.has_text(repo, storage.node(rev)):
        texts.write_text(repo, storage, rev, text)


def _brings_data(storage: Any, rev: int | None, delta: Any, flags: int) -> bool:
    """Return whether an incoming revision has data that ``storage`` lacks.

    A revision with flags is not considered: it may come without data, or with a
    pointer in place of the data.
    """
    return bool(
        rev is not None
        and delta is not None
        and not flags
        and is_absent(storage, rev)
    )


def _fetched(storage: Any, data: Any) -> Any:
    """Return an incoming revision, as a full text if its base lacks data.

    ``storage`` itself decides whether it does. Another object of the same file
    must not be opened for that: while revisions are added, parts of them are on
    disk.
    """
    is_tuple = isinstance(data, tuple)  # hg <= 7.0
    base = data[4] if is_tuple else data.delta_base
    rev = storage.index.get_rev(base)
    repo = storage.shallow_repo
    if (
        rev is None
        or not is_absent(storage, rev)
        or repo.shallow_fetch is None
        or texts.has_text(repo, base)
    ):
        return data
    node, p1, p2 = data[:3] if is_tuple else (data.node, data.p1, data.p2)
    text = repo.shallow_fetch(storage.target[1], node, p1, p2)
    if text is None:
        return data
    delta = mdiff.replacediffheader(0, len(text)) + text
    # The text is complete, whatever flags the server stores it with.
    if is_tuple:
        return (*data[:4], nullid, delta, 0, *data[7:])
    data.delta_base, data.delta, data.flags = nullid, delta, 0
    return data


def _prepared(storage: Any, deltas: Iterable[Any]) -> Iterator[Any]:
    """Yield ``deltas`` before Mercurial looks at them.

    Fetches texts of which only a delta came that cannot be applied, and notes
    the parents of revisions without data. Mercurial corrects parents in a wrong
    order (its issue 6528). It decides that by the text, which is missing here,
    so its result must be undone.
    """
    for incoming in deltas:
        data = _fetched(storage, incoming)
        if isinstance(data, tuple):  # hg <= 7.0
            node, p1, p2 = data[:3]
            flags = data[6]
        else:
            node, p1, p2, flags = data.node, data.p1, data.p2, data.flags
        if flags & REVIDX_EXTSTORED:
            storage.shallow_parents[node] = p1, p2
        yield data


class _IncomingDeltas:
    """Incoming revisions, changed so that ``storage`` can add them.

    Pass this to ``addgroup`` to iterate it, then call ``finish``.
    """

    def __init__(self, storage: Any, deltas: Iterable[Any]) -> None:
        self._storage = storage
        self._deltas = deltas
        # Revisions that storage skips, because it has them without data:
        # revision number, node of the delta base, delta.
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
            text = bytes(
                mdiff.patches(_late_text(storage, rev), [bytes(delta)])
            )
            delta = mdiff.replacediffheader(0, len(text)) + text
            if is_tuple:
                yield (*data[:4], nullid, delta, *data[6:])
            else:
                data.delta_base, data.delta = nullid, delta
                yield data

    def finish(self) -> None:
        """Keep the data of revisions that storage had without data."""
        storage = self._storage
        for rev, base, delta in self._late:
            if not texts.has_text(storage.shallow_repo, storage.node(rev)):
                text = mdiff.patches(storage.revision(base), [delta])
                _keep_text(storage, rev, bytes(text))
        texts.of_repo(storage.shallow_repo).flush()


# An object can only be given a subclass of its own class, so there is a
# subclass for each class seen. These are types, not the state of an operation.
_classes: dict[type, type] = {}


def _class(kind: Any, make: Any) -> type:
    """Return the subclass that ``make`` gives for the class ``kind``."""
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
            prepared = _prepared(self._revlog, deltas)
            return super().addgroup(prepared, *args, **kwargs)

        def renamed(self, node: bytes) -> Any:
            # Only the data tells whether this is a copy. If it cannot be had,
            # most commands would be useless if they aborted here, so the
            # revision counts as no copy.
            storage = self._revlog
            repo = storage.shallow_repo
            if storage.parents(node)[0] == nullid and is_missing(
                repo, storage, node
            ):
                demand.read_copy(storage, storage.rev(node))
                if is_missing(repo, storage, node):
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
                return _late_text(self, rev)
            try:
                return super()._revisiondata(nodeorrev, *args, **kwargs)
            except error.StorageError:
                node = self.node(rev)
                fresh = _reopened(self, node)
                if fresh is None:
                    raise
                return fresh._revisiondata(node, *args, **kwargs)

        def addrevision(self, text: bytes, *args: Any, **kwargs: Any) -> Any:
            rev = super().addrevision(text, *args, **kwargs)
            if is_absent(self, rev):
                _keep_text(self, rev, text)
                texts.of_repo(self.shallow_repo).flush()
            return rev

        def addgroup(self, deltas: Any, *args: Any, **kwargs: Any) -> Any:
            incoming = _IncomingDeltas(self, deltas)
            adding = self.shallow_repo.shallow_adding
            adding[self.target[1]] = self
            try:
                result = super().addgroup(incoming, *args, **kwargs)
            finally:
                del adding[self.target[1]]
            incoming.finish()
            return result

        def emitrevisions(self, *args: Any, **kwargs: Any) -> Any:
            for found in super().emitrevisions(*args, **kwargs):
                if found.flags & REVIDX_EXTSTORED and is_absent(
                    self, self.rev(found.node)
                ):
                    # The data has arrived since, and is sent like any other.
                    found.flags &= ~REVIDX_EXTSTORED
                yield found

        def verifyintegrity(self, state: Any) -> Any:
            # A verification must not fetch anything.
            with demand.paused(self.shallow_repo):
                yield from self._problems(state)

        def _problems(self, state: Any) -> Any:
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
