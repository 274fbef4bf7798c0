# SPDX-License-Identifier: GPL-2.0-or-later
"""Giving content to revisions that revlogs have without it, from packs.

A revlog has its data in the order of revisions. The content of a pack goes to
the end of the data, unless later revisions have data already; then the data is
written anew. The index is written anew in any case and replaces the old one by
renaming, so readers find either. Nothing here knows where packs come from.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple

from mercurial import revlog as revlogmod
from mercurial.node import nullrev
from mercurial.revlogutils import constants, flagutil

from ...amalgam.packs.contents import Index, Line, PackedFrame
from ...amalgam.packs.errors import PackError
from ..segments import unpacking
from . import absence

#: Bytes of data from which on Mercurial keeps them apart from the index.
MOST_INLINE = 131072

#: Bytes of new data in memory; more go to a temporary file.
SPOOL = 1 << 20

#: Bytes of data that are copied at a time.
COPY_BYTES = 1 << 20


class Content(NamedTuple):
    """What a pack has of a revision: the fields of its entry, and its data.

    ``base`` is the revision that ``data`` is a delta of; None if it is the text.
    """

    flags: int
    size: int
    base: int | None
    data: bytes


def fillable(storage: Any) -> bool:
    """Return whether ``storage`` is a revlog of the kind that is known here."""
    return (
        isinstance(storage, revlogmod.revlog)
        and storage._docket is None
        and storage._format_version == constants.REVLOGV1
        and storage._format_flags & ~constants.FLAG_INLINE_DATA
        == constants.FLAG_GENERALDELTA
    )


class FillingSink:
    """Takes content of files out of packs; a ``PackSink`` for revlogs.

    Revisions that are not in ``repo`` are counted, and not added.
    """

    def __init__(self, repo: Any, tr: Any) -> None:
        self._repo = repo
        self._tr = tr
        self._contents = unpacking.FrameContents()

    def add_frame(self, frame: PackedFrame) -> None:
        """Take a frame. The index that needs it comes later."""
        self._contents.add(frame)

    def add_index(self, index: Index, linkrevs: Sequence[int]) -> int:
        """Fill the revisions of complete lines; return how many are unknown."""
        unknown = 0
        for line in index.lines:
            storage = absence.of_file(self._repo, line.name)
            revs = list(map(storage.index.get_rev, line.nodes))
            if None in revs:
                unknown += revs.count(None)
                continue
            if any(absence.is_absent(storage, rev) for rev in revs):
                if not fillable(storage):
                    raise PackError('%r cannot be filled' % line.name)
                found = _wanted(storage, line, revs, self._contents)
                _Filling(self._repo, self._tr, storage).run(found)
        self._contents.clear()
        return unknown

    def finish(self) -> None:
        """Do nothing: nothing is kept between indexes."""


def _wanted(
    storage: Any,
    line: Line,
    revs: Sequence[int],
    contents: unpacking.FrameContents,
) -> Iterator[tuple[int, Content]]:
    """Yield the content of absent revisions, in the order of ``storage``.

    What comes in another order, or as a delta of what has no content here, is
    left out. That can only be if the revisions came in another way.
    """
    filled: set[int] = set()
    last = nullrev
    for rev, flags, size, (entry, base) in zip(
        revs, line.flags, line.sizes, contents.entries_of(line), strict=True
    ):
        if flags & ~flagutil.REVIDX_KNOWN_FLAGS:
            raise PackError('unknown flags')
        if (
            rev <= last
            or not absence.is_absent(storage, rev)
            or flags & constants.REVIDX_ISCENSORED
            or (flags & constants.REVIDX_EXTSTORED and not size)
        ):
            continue
        base_rev: int | None = None
        if base is not None:
            if isinstance(base, int):
                base_rev = revs[base]
            else:
                base_rev = storage.index.get_rev(base)
            if base_rev is None:
                raise PackError('a revision of %r is missing' % line.name)
            if base_rev not in filled:
                if storage.iscensored(base_rev):
                    # The delta belongs to the text that was there before.
                    raise PackError('a delta base is censored')
                if base_rev > rev or absence.is_absent(storage, base_rev):
                    continue
        filled.add(rev)
        last = rev
        yield rev, Content(flags, size, base_rev, entry)


class _Filling:
    """Writes the revlog ``old`` anew, with the content of some revisions."""

    def __init__(self, repo: Any, tr: Any, old: Any) -> None:
        self._repo = repo
        self._tr = tr
        self._old = old
        self._inline = bool(old._format_flags & constants.FLAG_INLINE_DATA)
        # The fields of the entries of the new index.
        self._entries: list[tuple[Any, ...]] = []

    def run(self, found: Iterator[tuple[int, Content]]) -> None:
        """Write the content ``found``, by ascending revision."""
        first = next(found, None)
        if first is None:
            return
        old, tr = self._old, self._tr
        rev = first[0]
        start = old.start(rev)
        self._entries = [old.index[n] for n in range(rev)]
        last = len(old) - 1
        data_file = old._datafile
        if (
            not self._inline
            and old.start(last) + old.length(last) == start
            and old.opener.stat(data_file).st_size == start
        ):
            # Only revisions without data follow.
            tr.add(data_file, start)
            with old.opener(data_file, b'ab') as out:
                self._write(out, start, first, found)
            self._write_index()
            return
        if tr.findoffset(data_file) is not None:
            # The transaction would cut off what it appended before, and knows
            # nothing of the rest. This content is requested by itself later.
            return
        with tempfile.SpooledTemporaryFile(max_size=SPOOL) as out:
            for n in range(rev):
                out.write(self._stored(n))
            size = self._write(out, start, first, found)
            out.seek(0)
            if self._inline and size < MOST_INLINE:
                self._write_inline(out)
            else:
                self._write_data(out)
                self._write_index()

    def _stored(self, rev: int) -> bytes:
        """Return the data of a revision as it is stored."""
        size = self._old.length(rev)
        if not size:
            return b''
        _start, data = self._old._inner.get_segment_for_revs(rev, rev)
        return bytes(data)

    def _write(
        self,
        out: IO[bytes],
        position: int,
        following: tuple[int, Content] | None,
        found: Iterator[tuple[int, Content]],
    ) -> int:
        """Write the data of all revisions that have no new entry yet.

        ``position`` is where in the data they begin. ``following`` is the next
        revision to fill, those after it are ``found``. Return the end of all.
        """
        old = self._old
        compress = old._inner.compress
        for rev in range(len(self._entries), len(old)):
            entry = old.index[rev]
            flags, size, base = entry[0] & 0xFFFF, entry[2], entry[3]
            if following is not None and following[0] == rev:
                content = following[1]
                header, data = compress(content.data)
                if header:
                    data = header + data
                flags, size = content.flags, content.size
                base = rev if content.base is None else content.base
                following = next(found, None)
            else:
                data = self._stored(rev)
            out.write(data)
            self._entries.append(
                (position << 16 | flags, len(data), size, base, *entry[4:8])
            )
            position += len(data)
        return position

    def _packed(self, form: int) -> Iterator[bytes]:
        """Yield the entries of the index; ``form`` are the flags of the revlog."""
        pack = constants.INDEX_ENTRY_V1.pack
        header = constants.INDEX_HEADER.pack(form | self._old._format_version)
        for entry in self._entries:
            packed = pack(*entry[:8])
            # The header takes the place of the first position, which is 0.
            yield header + packed[len(header) :] if header else packed
            header = b''

    def _write_index(self) -> None:
        old = self._old
        self._tr.addbackup(old._indexfile)
        form = old._format_flags & ~constants.FLAG_INLINE_DATA
        with old.opener(old._indexfile, b'wb', atomictemp=True) as stream:
            stream.write(b''.join(self._packed(form)))

    def _write_inline(self, data: IO[bytes]) -> None:
        """Write an index with the data in it."""
        old = self._old
        self._tr.addbackup(old._indexfile)
        with old.opener(old._indexfile, b'wb', atomictemp=True) as stream:
            for packed, entry in zip(
                self._packed(old._format_flags), self._entries, strict=True
            ):
                stream.write(packed)
                stream.write(data.read(entry[1]))

    def _write_data(self, data: IO[bytes]) -> None:
        """Write a new file of data."""
        old = self._old
        if self._inline:
            self._tr.add(old._datafile, 0)
        else:
            self._tr.addbackup(old._datafile)
        with old.opener(old._datafile, b'wb', atomictemp=True) as stream:
            while part := data.read(COPY_BYTES):
                stream.write(part)
        # The store keeps a list of its files.
        known = getattr(self._repo.store, 'fncache', None)
        if known is not None:
            known.add(old._datafile)
