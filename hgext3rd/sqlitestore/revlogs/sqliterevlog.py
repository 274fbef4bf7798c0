# SPDX-License-Identifier: GPL-2.0-or-later
"""The object inside a filelog or manifest, where core has a revlog.

Core, its bundled extensions and others use many attributes of that object, so
its interface is wide. It composes an ``IndexView``, a ``TextReader`` and a
``DeltaView``, and makes a ``FileWriter`` for each change. It does itself only
what needs several of them or Mercurial's flag processors.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mercurial import error, mdiff, revlog, util
from mercurial.i18n import _
from mercurial.node import nullrev
from mercurial.revlogutils import constants, flagutil

from .. import compat
from ..formats import schema
from ..reading.fileindex import FileIndex
from ..reading.store import Store
from . import emission, textreader
from .deltaview import DeltaView
from .indexview import IndexView
from .revlogshape import RevlogShape
from .textreader import TextReader

# Modules of other layers that commands which only read do not need are imported
# inside functions.
if TYPE_CHECKING:
    from ..writing.filewriter import FileWriter

# The limit of revlogs and of core's index object, which stores sizes in 32
# bits.
MAX_SIZE = 0x7FFFFFFF


class PartMethod:
    """A method of a part, as an attribute of the object that has the part.

    The first access stores the bound method of the part in the instance, where
    Python finds it from then on. So later calls cost no more than those of the
    method itself.
    """

    def __init__(self, part: str) -> None:
        self._part = part
        self._name = ''

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        method = getattr(getattr(instance, self._part), self._name)
        setattr(instance, self._name, method)
        return method


class SQLiteRevlog(RevlogShape):
    """The revisions of ``path``, with the interface of a revlog.

    ``kind`` is that of the path (see ``schema``): a file, or a directory of
    manifests. ``opener`` is the store's vfs, in whose options core keeps
    settings. A ``writable`` object accepts ``addrevision`` and ``addgroup``.
    """

    _adding_group = False
    # The node and the text that ``revision`` took last from those that were
    # read ahead. A diff reads each text twice.
    _read_ahead: tuple[bytes, bytes] | None = None

    def __init__(
        self,
        store: Store,
        opener: Any,
        path: bytes,
        writable: bool,
        kind: int = schema.FILE,
    ) -> None:
        super().__init__(opener)
        self.store = store
        self.kind = kind
        self.filename = path
        self.display_id = name = schema.display_name(kind, path)
        if kind == schema.FILE:
            self.revlog_kind = constants.KIND_FILELOG
            self.radix = b'data/' + path
        else:
            self.revlog_kind = constants.KIND_MANIFESTLOG
            self.radix = name
        self.target = (self.revlog_kind, path)
        self._writable = writable

    # The parts are made when they are first used: update and archive open each
    # file of the repository once, and read what ``prefetch`` has ready.

    @util.propertycache
    def view(self) -> IndexView:
        """The index of the path."""
        return IndexView(self.store, self.filename, self.kind)

    @util.propertycache
    def reader(self) -> TextReader:
        """Reads the file's texts."""
        return TextReader(self.store, self.view)

    @util.propertycache
    def deltas(self) -> DeltaView:
        """The file's stored deltas."""
        return DeltaView(self.store, self.view)

    @util.propertycache
    def idx(self) -> FileIndex:
        """The index of the file in the store."""
        return self.view.idx

    @property
    def index(self) -> Any:
        """Core's index object."""
        return self.idx.core

    def __len__(self) -> int:
        return len(self.idx)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.idx)))

    def __contains__(self, rev: int) -> bool:
        return 0 <= rev < len(self.idx)

    # core's interface ifileindex

    # Core calls these for each revision when it walks history. They are the
    # functions of IndexView, which use no attribute but ``idx``. As methods of
    # this class they are a fifth faster than as bound methods of a part.
    flags: Any = IndexView.flags
    rawsize: Any = IndexView.rawsize
    linkrev: Any = IndexView.linkrev
    parentrevs: Any = IndexView.parentrevs
    _uncheckedparentrevs: Any = parentrevs
    parents: Any = IndexView.parents
    node: Any = IndexView.node
    rev: Any = IndexView.rev
    iscensored: Any = IndexView.iscensored

    tiprev = PartMethod('view')
    revs = PartMethod('view')
    getstrippoint = PartMethod('view')
    hasnode = PartMethod('view')
    tip = PartMethod('view')
    ancestors = PartMethod('view')
    descendants = PartMethod('view')
    findcommonmissing = PartMethod('view')
    incrementalmissingrevs = PartMethod('view')
    findmissingrevs = PartMethod('view')
    findmissing = PartMethod('view')
    nodesbetween = PartMethod('view')
    headrevs = PartMethod('view')
    heads = PartMethod('view')
    _head_node_ids = PartMethod('view')
    children = PartMethod('view')
    commonancestorsheads = PartMethod('view')
    _commonancestorsheads = PartMethod('view')
    isancestor = PartMethod('view')
    isancestorrev = PartMethod('view')
    reachableroots = PartMethod('view')
    ancestor = PartMethod('view')
    lookup = PartMethod('view')
    shortest = PartMethod('view')
    _match = PartMethod('view')
    _partialmatch = PartMethod('view')
    _candelta = PartMethod('view')
    deltaparent = PartMethod('deltas')
    issnapshot = PartMethod('deltas')
    snapshotdepth = PartMethod('deltas')
    checkhash = PartMethod('reader')
    hash = staticmethod(textreader.hash_text)

    # core's interface ifiledata

    def revision(self, nodeorrev: bytes | int) -> bytes:
        """Return the text of a revision."""
        ready = self.store.ready
        if ready or self._read_ahead is not None:
            text = self._ready_text(nodeorrev)
            if text is not None:
                return text
        return self._revisiondata(nodeorrev)

    def _ready_text(self, nodeorrev: bytes | int) -> bytes | None:
        """Return a text that was read ahead, or None."""
        ready = self.store.ready
        # Mercurial asks by number to see whether a file is a copy, and reads it
        # later, through another object.
        take: Callable[..., Any] = ready.pop
        if isinstance(nodeorrev, int):
            take = ready.get
            node: bytes = self.node(nodeorrev)
        else:
            node = nodeorrev
        ahead = self._read_ahead
        if ahead is not None and ahead[0] == node:
            return ahead[1]
        found = take((self.filename, node), None)
        if found is None:
            return None
        text: bytes
        text, p1, p2 = found
        if not textreader.has_node(node, text, p1, p2):
            return None
        self._read_ahead = node, text
        return text

    def rawdata(self, nodeorrev: bytes | int, validate: bool = True) -> bytes:
        """Return the text as stored, before flag processors such as lfs."""
        return self._revisiondata(nodeorrev, raw=True, validate=validate)

    def _revisiondata(
        self, nodeorrev: bytes | int, raw: bool = False, validate: bool = True
    ) -> bytes:
        rev = nodeorrev if isinstance(nodeorrev, int) else self.rev(nodeorrev)
        if rev == nullrev:
            return b''
        reader = self.reader
        rawtext, checked = reader.raw_text(rev)
        flags = self.flags(rev)
        if checked and (raw or not flags & ~compat.NEUTRAL_FLAGS):
            return rawtext
        if raw:
            checkable = flagutil.processflagsraw(self, rawtext, flags)
            text = rawtext
        else:
            text, checkable = flagutil.processflagsread(self, rawtext, flags)
        if validate and checkable:
            reader.check(text, rev)
            if not checked:
                reader.last = (rev, rawtext, True)
        return text

    def revdiff(
        self, rev1: int, rev2: int, extra_delta: bytes | None = None
    ) -> bytes:
        """Return a delta from ``rev1`` to ``rev2``, the stored one if possible.

        ``extra_delta`` applies to ``rev2``; the result then includes it.
        """
        if not extra_delta:
            stored = self.deltas.stored_between(rev1, rev2)
            if stored is not None:
                return stored
        old = self.rawdata(rev1, validate=False)
        new = self.rawdata(rev2, validate=False)
        if extra_delta:
            new = bytes(mdiff.patches(new, [extra_delta]))
        return bytes(mdiff.textdiff(old, new))

    emitrevisions = emission.emitrevisions
    # Core's own function chooses what to send in other cases. It uses only
    # methods of this class, and gets stored deltas from ``revdiff``.
    _emit_revisions = compat.borrow(revlog.revlog, '_emit_revisions')
    _storedeltachains = True
    may_emit_compressed = False

    size = revlog.revlog.size
    cmp = revlog.revlog.cmp

    def clearcaches(self, clear_persisted_data: bool = False) -> None:
        """Forget the text that was read last."""
        self._read_ahead = None
        self.reader.forget()
        self.deltas.forget()

    # core's interface ifilemutation

    @contextlib.contextmanager
    def _writing(self, tr: Any) -> Iterator[FileWriter]:
        """Yield a FileWriter for a Mercurial transaction.

        Raises ProgrammingError unless the file was opened for writing.
        """
        if not self._writable:
            raise error.ProgrammingError(
                b'try to write in a file store marked as non-writable: %s'
                % self.display_id
            )
        yield self._file_writer(tr)

    def _file_writer(self, tr: Any) -> FileWriter:
        from ..writing import filewriter
        from ..writing import writer as writing

        writer = writing.writer(self.store, tr)
        return filewriter.FileWriter(
            self.idx, self.store, writer, self.filename, self.kind
        )

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
        """Add a text and return its revision number.

        A text that is there already is not added again. Raises RevlogError for
        a text of 2 GiB or more.
        """
        if link == nullrev:
            raise error.RevlogError(
                _(b'attempted to add linkrev -1 to %s') % self.display_id
            )
        # Manifests arrive as a view of an array that changes later.
        text = bytes(text)
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
        # A delta of another text than the raw one is of no use.
        known = cachedelta if rawtext is text else None
        rev = self.addrawrevision(
            rawtext, transaction, link, p1, p2, node, flags, known
        )
        if checkable and (given or not flags):
            # The text was hashed above.
            self.reader.last = (rev, rawtext, True)
        return rev

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
        """Add a raw text with a known node, and return its revision number.

        The text is not checked. If it is None, ``cachedelta`` is a delta that
        makes it.
        """
        known = None
        if cachedelta is not None:
            known = (
                compat.cached_base(cachedelta),
                compat.cached_delta(cachedelta),
            )
        with self._writing(transaction) as file:
            if rawtext is None:
                assert known is not None
                base = self.rawdata(known[0], validate=False)
                rawtext = bytes(mdiff.patches(base, [known[1]]))
            reader = self.reader
            if reader.last is not None:
                file.texts.keep(*reader.last[:2])
            rev = file.add(
                rawtext, link, self.rev(p1), self.rev(p2), node, flags, known
            )
            reader.last = (rev, rawtext, False)
            return rev

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
        """Add the revisions of a changegroup; return whether there were any.

        ``linkmapper`` returns the number of the changeset with a node.
        """
        if self._adding_group:
            raise error.ProgrammingError(b'cannot nest addgroup() calls')
        from ..writing import ingest

        self._adding_group = True
        any_seen = False
        try:
            with self._writing(transaction) as file:
                group = ingest.Group(
                    file,
                    self.revision,
                    self._check_received,
                    self.kind == schema.FILE
                    and self.opener.options.get(
                        b'issue6528.fix-incoming', True
                    ),
                )
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

    def _check_received(
        self, text: bytes, node: bytes, p1: bytes, p2: bytes, flags: int
    ) -> None:
        """Raise an error unless a raw text belongs to a node.

        Texts that flag processors replace cannot be checked.
        """
        if not flags or flagutil.processflagsraw(self, text, flags):
            self.checkhash(text, node, p1=p1, p2=p2)

    def strip(self, minlink: int, transaction: Any) -> None:
        """Remove the revisions of changesets from ``minlink`` on."""
        if not len(self):
            return
        rev, _broken = self.getstrippoint(minlink)
        if rev == len(self):
            return
        self._file_writer(transaction).strip(minlink, rev)
        self.clearcaches()

    def censorrevision(
        self, tr: Any, censor_nodes: Any, tombstone: bytes = b''
    ) -> None:
        """Remove the content of one node, or of several, for good.

        Core's censor command does not open the file for writing.
        """
        from ..writing import censor

        if isinstance(censor_nodes, bytes):
            censor_nodes = [censor_nodes]
        revs = set(map(self.rev, censor_nodes))
        censor.censor(self._file_writer(tr), revs, tombstone)
        self.clearcaches()

    def fill_revisions(self, tr: Any, texts: Mapping[int, bytes]) -> None:
        """Store the texts of revisions that were stored empty without them.

        Such revisions have the flag for content that is stored elsewhere; it is
        cleared.
        """
        from ..writing import fill

        fill.fill(self._file_writer(tr), texts, constants.REVIDX_EXTSTORED)
        self.clearcaches()

    # checks and statistics

    def verifyintegrity(self, state: Any) -> Iterator[Any]:
        """Yield problems found by reading every revision."""
        from . import integrity

        return integrity.problems(self, state)

    def storageinfo(
        self,
        exclusivefiles: bool = False,
        sharedfiles: bool = False,
        revisionscount: bool = False,
        trackedsize: bool = False,
        storedsize: bool = False,
    ) -> dict[bytes, Any]:
        """Return facts as core's ``ifilestorage`` describes them."""
        info: dict[bytes, Any] = {}
        if exclusivefiles:
            info[b'exclusivefiles'] = []
        if sharedfiles:
            info[b'sharedfiles'] = [(self.opener, schema.FILENAME)]
        if revisionscount:
            info[b'revisionscount'] = len(self)
        if trackedsize:
            info[b'trackedsize'] = sum(map(self.rawsize, self))
        if storedsize:
            # Sealed revisions share their frames with other files.
            info[b'storedsize'] = None
        return info
