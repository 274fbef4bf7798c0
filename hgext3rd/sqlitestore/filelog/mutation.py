# SPDX-License-Identifier: GPL-2.0-or-later
"""Adding, censoring and stripping revisions of one file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mercurial import error, mdiff
from mercurial.i18n import _
from mercurial.node import nullrev
from mercurial.revlogutils import constants, flagutil
from mercurial.utils import storageutil

from .. import compat
from ..formats import index
from ..writing import bases, censor, ingest
from ..writing import writer as writes
from .data import DataMixin

# The limit of a revlog, and of core's index object: sizes are 32-bit there.
MAX_SIZE = 0x7FFFFFFF


class MutationMixin(DataMixin):
    """The ``ifilemutation`` half."""

    filename: bytes
    _writable: bool
    _adding_group = False

    @property
    def fix_parents(self) -> bool:
        """Whether to mend the order of parents in changegroups."""
        fix: bool = self.opener.options.get(b'issue6528.fix-incoming', True)
        return fix

    @contextlib.contextmanager
    def _writing(self, tr: Any) -> Iterator[writes.Writer]:
        if not self._writable:
            raise error.ProgrammingError(
                b'try to write in a file store marked as non-writable: %s'
                % self.display_id
            )
        yield writes.writer(self.store, tr)

    def addrevision(
        self,
        text: bytes,
        transaction: Any,
        link: int,
        p1: bytes,
        p2: bytes,
        cachedelta: Any = None,
        node: bytes | None = None,
        flags: int = constants.REVIDX_DEFAULT_FLAGS,
        deltacomputer: Any = None,
        sidedata: Any = None,
    ) -> int:
        """Add a text; returns its revision number (see ``ifilemutation``)."""
        if link == nullrev:
            raise error.RevlogError(
                _(b'attempted to add linkrev -1 to %s') % self.display_id
            )
        given = node is not None
        if flags and node is None:
            node = self.hash(text, p1, p2)
        rawtext, checkable = flagutil.processflagswrite(self, text, flags)
        if len(rawtext) > MAX_SIZE:
            raise error.RevlogError(
                _(b'%s: size of %d bytes exceeds the maximum of 2GiB')
                % (self.display_id, len(rawtext))
            )
        if node is None:
            node = self.hash(rawtext, p1, p2)
        rev: int | None = self.index.get_rev(node)
        if rev is not None:
            return rev
        if checkable and given:
            self.checkhash(rawtext, node, p1=p1, p2=p2)
        return self.addrawrevision(
            rawtext, transaction, link, p1, p2, node, flags
        )

    def addrawrevision(
        self,
        rawtext: bytes | None,
        transaction: Any,
        link: int,
        p1: bytes,
        p2: bytes,
        node: bytes,
        flags: int,
        cachedelta: Any = None,
        deltacomputer: Any = None,
        sidedata: Any = None,
    ) -> int:
        """Add a revision with known node; the text is trusted."""
        with self._writing(transaction) as writer:
            if rawtext is None:
                delta = compat.cached_delta(cachedelta)
                base = self.rawdata(
                    compat.cached_base(cachedelta), validate=False
                )
                rawtext = bytes(mdiff.patches(base, [delta]))
            return self.store_loose(
                writer, rawtext, link, self.rev(p1), self.rev(p2), node, flags
            )

    def store_loose(
        self,
        writer: writes.Writer,
        text: bytes,
        link: int,
        p1: int,
        p2: int,
        node: bytes,
        flags: int,
    ) -> int:
        """Add a revision as a row of its own; returns its number."""
        writer.touch(self.filename, self.idx)
        rev = len(self.idx)
        gid = self.gid(rev)
        choice = self._choose(writer, text, rev, p1, p2, flags)
        frame_id = 0
        revision = index.Revision(
            node, p1, p2, link, flags, len(text), frame_id, choice.place
        )
        if len(choice.chunk) > ingest.LARGE_CHUNK:
            frame_id = ingest.store_alone(writer, gid, text)
            revision = revision._replace(frame=frame_id, place=0)
            choice = choice._replace(chunk=b'')
        writer.add_loose(gid, revision, choice.chunk)
        self.idx.append(revision, len(choice.chunk))
        self.store.keep_index(self.idx)
        if len(text) >= bases.CONTENT_SIZE and choice.place == 0:
            writer.add_content(bases.content_digest(text), gid)
        self._cache = (rev, text, False)
        return rev

    def _choose(
        self,
        writer: writes.Writer,
        text: bytes,
        rev: int,
        p1: int,
        p2: int,
        flags: int,
    ) -> bases.Choice:
        return bases.choose(
            self.store,
            text,
            self._candidates(text, rev, p1, p2, flags),
            writer.codec.encode,
            {}
            if self._cache is None
            else {(self.idx.path_id, self._cache[0]): self._cache[1]},
        )

    def _candidates(
        self, text: bytes, rev: int, p1: int, p2: int, flags: int
    ) -> Iterator[bases.Candidate]:
        """Bases worth trying for a new revision, most promising first."""
        if flags & constants.REVIDX_ISCENSORED:
            return
        if len(text) >= bases.CONTENT_SIZE:
            yield from self._same_content(text)
        seen = set()
        for base in (p1, p2, rev - 1):
            if (
                base != nullrev
                and base not in seen
                and not self.iscensored(base)
            ):
                seen.add(base)
                yield bases.Candidate(self.idx, base, rev - base)
        yield from self._copy_source(text)

    def _same_content(self, text: bytes) -> Iterator[bases.Candidate]:
        gid = self.store.find_content(bases.content_digest(text))
        if gid is not None and gid >> 32 != self.idx.path_id:
            idx = self.store.index_of(gid >> 32)
            rev = gid & 0xFFFFFFFF
            if rev < len(idx) and idx.core[rev][2] == len(text):
                yield bases.Candidate(idx, rev, -gid)

    def _copy_source(self, text: bytes) -> Iterator[bases.Candidate]:
        if not text.startswith(compat.META_MARKER):
            return
        found = self.copy_source(text)
        if found is not None:
            idx, rev = found
            assert idx.path_id is not None
            yield bases.Candidate(idx, rev, -(idx.path_id << 32 | rev))

    def copy_source(self, text: bytes) -> tuple[index.FileIndex, int] | None:
        """The revision a text says it was copied from, if it is here."""
        try:
            meta = storageutil.parsemeta(text)[0] or {}
            path, node = meta[b'copy'], bytes.fromhex(meta[b'copyrev'].decode())
        except (AttributeError, KeyError, ValueError):
            # Not a copy, or metadata that only looks like it.
            return None
        if path == self.filename:
            return None
        idx = self.store.index(path)
        rev = idx.core.get_rev(node) if len(node) == index.NODE_SIZE else None
        if rev is None or rev == nullrev or not len(idx):
            return None
        if idx.core[rev][0] & constants.REVIDX_ISCENSORED:
            return None
        return idx, rev

    def addgroup(
        self,
        deltas: Iterable[Any],
        linkmapper: Callable[[bytes], int],
        transaction: Any,
        alwayscache: bool = False,
        addrevisioncb: Any = None,
        duplicaterevisioncb: Any = None,
        debug_info: Any = None,
        delta_base_reuse_policy: Any = None,
    ) -> bool:
        """Add the revisions of a changegroup; see ``ifilemutation``.

        Returns whether there were any.
        """
        if self._adding_group:
            raise error.ProgrammingError(b'cannot nest addgroup() calls')
        self._adding_group = True
        any_seen = False
        try:
            with self._writing(transaction) as writer:
                group = ingest.Group(self, writer)
                get_rev = self.index.get_rev
                try:
                    for data in compat.incoming(deltas):
                        any_seen = True
                        rev = get_rev(data.node)
                        if rev is not None:
                            if duplicaterevisioncb:
                                duplicaterevisioncb(self, rev)
                            continue
                        rev = group.add(data, linkmapper(data.link_node))
                        if addrevisioncb:
                            addrevisioncb(self, rev)
                finally:
                    group.finish()
        finally:
            self._adding_group = False
        return any_seen

    def strip(self, minlink: int, transaction: Any) -> None:
        """Remove the revisions of changesets from ``minlink`` on."""
        if not len(self):
            return
        rev, _broken = self.getstrippoint(minlink)
        if rev == len(self):
            return
        writer = writes.writer(self.store, transaction)
        writer.begin_strip(minlink)
        writer.truncate(self.filename, self.idx, rev)
        self._cache = None

    def censorrevision(
        self, tr: Any, censor_nodes: Any, tombstone: bytes = b''
    ) -> None:
        """Remove the content of revisions for good; see ``ifilemutation``."""
        if isinstance(censor_nodes, bytes):
            censor_nodes = [censor_nodes]
        # core's censor command does not ask for a writable file
        writer = writes.writer(self.store, tr)
        writer.begin()
        censor.censor(self, writer, set(map(self.rev, censor_nodes)), tombstone)
        self._cache = None
