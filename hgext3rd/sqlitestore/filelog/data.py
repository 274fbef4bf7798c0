# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading: from stored bytes to a text that matches its node.

Every text handed out was hashed and compared with its node, as with revlogs:
neither a damaged page nor a mistake in this package can yield wrong content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from mercurial import error, mdiff, pycompat, revlog
from mercurial.i18n import _
from mercurial.node import nullrev, short
from mercurial.revlogutils import flagutil
from mercurial.utils import storageutil, stringutil

from .. import compat, errors
from ..writing import bases
from .index import IndexMixin


def has_node(node: bytes, text: bytes, p1: bytes, p2: bytes) -> bool:
    """Whether a stored text and its parents still have this node.

    Core's SHA-1 recognizes collision attacks, and gives what they are made of
    other hashes. It was used when the text entered the store; to see whether
    the store still holds that text, SHA-1 as it is does, in a quarter of the
    time. Core's has to be asked where this says no.
    """
    first, second = (p1, p2) if p1 < p2 else (p2, p1)
    sha = hashlib.sha1(first + second, usedforsecurity=False)
    sha.update(text)
    return sha.digest() == node


class DataMixin(IndexMixin):
    """The ``ifiledata`` half."""

    feature_config: Any
    filename: bytes
    delta_config: Any
    opener: Any

    # the last text read: its revision, and whether it was checked
    _cache: tuple[int, bytes, bool] | None = None

    def revision(self, nodeorrev: bytes | int) -> bytes:
        """The text of a revision."""
        ready = self.store.ready
        if ready and not isinstance(nodeorrev, int):
            found = ready.pop((self.filename, nodeorrev), None)
            if found is not None:
                text, p1, p2 = found
                if has_node(nodeorrev, text, p1, p2):
                    return text
        return self._revisiondata(nodeorrev)

    def rawdata(self, nodeorrev: bytes | int, validate: bool = True) -> bytes:
        """The text as stored, before flag processors such as lfs."""
        return self._revisiondata(nodeorrev, raw=True, validate=validate)

    def _revisiondata(
        self, nodeorrev: bytes | int, raw: bool = False, validate: bool = True
    ) -> bytes:
        rev = nodeorrev if isinstance(nodeorrev, int) else self.rev(nodeorrev)
        if rev == nullrev:
            return b''
        rawtext, validated = self._rawtext(rev)
        flags = self.flags(rev)
        if validated and (raw or not flags & ~compat.NEUTRAL_FLAGS):
            return rawtext
        if raw:
            checkable = flagutil.processflagsraw(self, rawtext, flags)
            text = rawtext
        else:
            text, checkable = flagutil.processflagsread(self, rawtext, flags)
        if validate and checkable:
            self._check(text, rev)
            if not validated:
                self._cache = (rev, rawtext, True)
        return text

    def _rawtext(self, rev: int) -> tuple[bytes, bool]:
        """(raw text, whether it was checked) of a revision."""
        cached = self._cache
        if cached is not None and cached[0] == rev:
            return cached[1], cached[2]
        known = None if cached is None else cached[:2]
        text = self.store.chain_text(self.idx, rev, known)
        self._cache = (rev, text, False)
        return text, False

    def _check(self, text: bytes, rev: int) -> None:
        """Raise as ``checkhash`` unless ``text`` is that of a revision."""
        index = self.index
        entry = index[rev]
        p1, p2, node = index[entry[5]][7], index[entry[6]][7], entry[7]
        if not has_node(node, text, p1, p2):
            self.checkhash(text, node, p1, p2, rev)

    def hash(self, text: bytes, p1: bytes, p2: bytes) -> bytes:
        """The node of a text with these parents."""
        node: bytes = storageutil.hashrevisionsha1(text, p1, p2)
        return node

    def checkhash(
        self,
        text: bytes,
        node: bytes,
        p1: bytes | None = None,
        p2: bytes | None = None,
        rev: int | None = None,
    ) -> None:
        """Raise unless ``text`` belongs to ``node``.

        CensoredNodeError for the tombstone of a censored revision, and
        RevlogError naming the file otherwise.
        """
        if p1 is None or p2 is None:
            p1, p2 = self.parents(node)
        if node == self.hash(text, p1, p2):
            return
        self._cache = None
        if storageutil.iscensoredtext(text):
            raise error.CensoredNodeError(self.display_id, node, text)
        where = short(node) if rev is None else pycompat.bytestr(rev)
        raise error.RevlogError(
            _(b'integrity check failed on %s:%s') % (self.display_id, where)
        )

    def revdiff(
        self, rev1: int, rev2: int, extra_delta: bytes | None = None
    ) -> bytes:
        """A delta from ``rev1`` to ``rev2``: the stored one if there is."""
        if rev1 != nullrev and not extra_delta:
            if self.deltaparent(rev2) == rev1:
                delta = self.stored_delta(rev2)
                if delta is not None:
                    return delta
            elif self._rests_on(rev1, rev2):
                # Repacked frames hold the newer text and how to go back.
                delta = self.stored_delta(rev1)
                if delta is not None:
                    return bases.invert(
                        delta, self.rawdata(rev2, validate=False)
                    )
        old = self.rawdata(rev1, validate=False)
        new = self.rawdata(rev2, validate=False)
        if extra_delta:
            new = bytes(mdiff.patches(new, [extra_delta]))
        return bytes(mdiff.textdiff(old, new))

    def _rests_on(self, rev: int, base: int) -> bool:
        """Whether ``rev`` is a delta of ``base`` in the same frame."""
        frames, places = self.idx.frames, self.idx.places
        frame_id = frames[rev]
        if not frame_id or frames[base] != frame_id:
            return False
        try:
            found: int = self.store.frame(frame_id).base(places[rev])
        except errors.Moved:
            return False
        return found == places[base]

    def stored_delta(self, rev: int) -> bytes | None:
        """What is stored for ``rev``, or None if it moved just now."""
        frame_id, place = self.idx.frames[rev], self.idx.places[rev]
        if not frame_id:
            return self.store.loose([self.gid(rev)]).get(self.gid(rev))
        try:
            entry: bytes = self.store.frame(frame_id).entry(place)
        except errors.Moved:
            return None
        return entry

    def gid(self, rev: int) -> int:
        """The global id of a revision (see ``schema``)."""
        assert self.idx.path_id is not None
        return self.idx.path_id << 32 | rev

    # Core's own choice of what to send; it asks for nothing but the methods
    # here, and takes stored deltas from ``revdiff``.
    emitrevisions = revlog.revlog.emitrevisions
    _emit_revisions = compat.borrow(revlog.revlog, '_emit_revisions')
    _storedeltachains = True
    may_emit_compressed = False

    size = revlog.revlog.size
    cmp = revlog.revlog.cmp

    def sidedata(self, nodeorrev: bytes | int) -> dict[int, bytes]:
        """Filelogs have no side data."""
        return {}

    def clearcaches(self, clear_persisted_data: bool = False) -> None:
        """Forget texts."""
        self._cache = None

    # what verify asks

    def checksize(self) -> tuple[int, int]:
        """Bytes that should not be there: SQLite keeps that books itself."""
        return 0, 0

    def verifyintegrity(self, state: Any) -> Iterator[Any]:
        """Problems found reading every revision; see ``ifilestorage``.

        Read in the order in which they are stored, so that what one is a delta
        of was just read.
        """
        state[b'skipread'] = set()
        state[b'safe_renamed'] = set()
        problems: list[tuple[int, bytes]] = []
        places = zip(self.idx.frames, self.idx.places, self, strict=True)
        for _frame, _place, rev in sorted(places):
            try:
                expected, found = self.rawsize(rev), self._verified(rev, state)
                if expected != found:
                    problem = _(b'unpacked size is %d, %d expected')
                    problems.append((rev, problem % (found, expected)))
            except error.CensoredNodeError:
                if state[b'erroroncensored']:
                    problems.append((rev, _(b'censored file data')))
                    state[b'skipread'].add(self.node(rev))
            except Exception as exc:
                # Whatever is wrong with one revision must not hide the rest.
                problem = _(b'unpacking %s: %s') % (
                    short(self.node(rev)),
                    stringutil.forcebytestr(exc),
                )
                problems.append((rev, problem))
                state[b'skipread'].add(self.node(rev))
        for rev, problem in sorted(problems):
            yield revlog.revlogproblem(error=problem, node=self.node(rev))

    def _verified(self, rev: int, state: Any) -> int:
        """The size of a raw text that was checked."""
        flags = self.flags(rev)
        if flags:
            # what extensions store elsewhere, they know how to verify
            skip = state.get(b'skipflags', 0) & flags
            revlog._verify_revision(self, skip, state, self.node(rev))
        return len(self.rawdata(rev))

    def storageinfo(
        self,
        exclusivefiles: bool = False,
        sharedfiles: bool = False,
        revisionscount: bool = False,
        trackedsize: bool = False,
        storedsize: bool = False,
    ) -> dict[bytes, Any]:
        """See core's ``ifilestorage``."""
        info: dict[bytes, Any] = {}
        if exclusivefiles:
            info[b'exclusivefiles'] = []
        if sharedfiles:
            info[b'sharedfiles'] = [(self.opener, b'files.sqlite')]
        if revisionscount:
            info[b'revisionscount'] = len(self)
        if trackedsize:
            info[b'trackedsize'] = sum(map(self.rawsize, self))
        if storedsize:
            # Sealed revisions share their frames with other files.
            info[b'storedsize'] = None
        return info
