# SPDX-License-Identifier: GPL-2.0-or-later
"""The unpacker with which Mercurial applies packs.

``changegroup.cg3unpacker.apply`` runs hooks, moves phases, and reports; all of
that stays Mercurial's. It asks the unpacker for revisions of changesets, then of
manifests and files. This unpacker answers the first question by storing
everything, so nothing is left for the others.
"""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mercurial import changegroup, hook, phases, pycompat, revlog, util
from mercurial.node import hex, nullrev
from mercurial.revlogutils import constants, flagutil

from ...amalgam import compat
from ...amalgam.packs import decoder, layout
from ...amalgam.packs.contents import Changesets, Index, PackedFrame
from ...amalgam.packs.errors import PackError
from ...amalgam.packs.sinks import PackSink
from . import branches
from .revlogs import Appender, Entry, RevlogSink


def suitable(repo: Any) -> bool:
    """Return whether packs can be applied to ``repo`` without Mercurial's help.

    The storage must say that it takes packs, or be that of plain revlogs.
    """
    repo = repo.unfiltered()
    if repo.ui.configbool(b'server', b'validate'):
        # Mercurial then compares manifests with files as they arrive.
        return False
    if repo.changelog._docket is not None:
        return False
    return all(
        getattr(inner, 'takes_packs', False)
        or (
            isinstance(inner, revlog.revlog)
            and inner._docket is None
            # Otherwise, each delta belongs to the revision before.
            and inner._format_flags & constants.FLAG_GENERALDELTA
        )
        for inner in (
            repo.manifestlog.getstorage(b'')._revlog,
            repo.file(b'.hgsub')._revlog,
        )
    )


class BulkUnpacker(changegroup.cg3unpacker):
    """Applies packs, in their order.

    ``branches`` has the names of the branches of all changesets in ``repo``, and
    gets those of the packs; None if they are not known.
    """

    def __init__(
        self,
        repo: Any,
        packs: Sequence[decoder.Decoder],
        branches: set[bytes] | None = None,
    ) -> None:
        super().__init__(io.BytesIO(), b'UN')
        self._repo = repo.unfiltered()
        self._packs = list(packs)
        self._branches = branches
        #: how many revisions of files were added, and the files of the packs
        self.revisions = 0
        self.files: set[bytes] = set()

    def apply(self, repo: Any, tr: Any, *args: Any, **kwargs: Any) -> Any:
        """Store everything, and do what Mercurial does for a changegroup."""
        target = repo.unfiltered().changelog
        first = len(target)
        inherited = type(target)
        unpacker = self

        class packchangelog(inherited):  # type: ignore[misc,valid-type]
            """A changelog that takes its revisions from packs."""

            def addgroup(
                self, deltas: Any, linkmapper: Any, tr: Any, **kwargs: Any
            ) -> bool:
                return unpacker.store(self, tr, kwargs.get('addrevisioncb'))

        packchangelog.__name__ = inherited.__name__
        target.__class__ = packchangelog
        try:
            # Nothing here makes cycles, and a clone makes many objects.
            with util.nogc(), self._phases(tr, target, kwargs):
                result = super().apply(repo, tr, *args, **kwargs)
        finally:
            target.__class__ = inherited
        self._after_transaction(tr, target, first)
        # Mercurial has counted no revisions of files.
        tr.changes[b'changegroup-count-revisions'] += self.revisions
        tr.changes[b'changegroup-count-files'] += len(self.files)
        return result

    @contextlib.contextmanager
    def _phases(
        self, tr: Any, target: Any, kwargs: dict[str, Any]
    ) -> Iterator[None]:
        """Note in ``tr`` that what is added meanwhile is public.

        Mercurial does that for one changeset after the other. It does it better
        if what is added may be the child of a draft.
        """
        repo = self._repo
        if (
            kwargs.get('targetphase') != phases.public
            or hook.hashook(repo.ui, b'pretxnchangegroup')
            or repo._phasecache.hasnonpublicphases(repo)
        ):
            yield
            return
        first = len(target)
        moves = tr.changes.pop(b'phases', None)
        try:
            yield
        finally:
            if moves is not None:
                if len(target) > first:
                    moves.append(
                        (range(first, len(target)), (None, phases.public))
                    )
                tr.changes[b'phases'] = moves

    def _after_transaction(self, tr: Any, target: Any, first: int) -> None:
        """Replace what Mercurial would do for each changeset after ``first``."""
        repo = self._repo
        if self._branches is not None and len(self._branches) == 1:
            (branch,) = self._branches
            # Mercurial's own callback, which would search, is -warm-cache.
            tr.addpostclose(
                b'--wireprotov2-branches',
                lambda _tr: branches.note_heads(repo, branch),
            )
        count = len(target) - first
        if not count or hook.hashook(repo.ui, b'incoming'):
            return
        # Mercurial looks for that hook once for each changeset.
        hookargs = pycompat.strkwargs(tr.hookargs) | {
            'node': hex(target.node(first)),
            'node_last': hex(target.node(first + count - 1)),
        }
        _removed, heads = target.diffheads(first, first + count)

        def run_hooks(_success: object) -> None:
            if first < len(repo):
                repo.hook(b'changegroup', **hookargs)
                repo.ui.log(
                    b'incoming',
                    b'%d incoming changes - new heads: %s\n',
                    count,
                    b', '.join(hex(head[:6]) for head in heads),
                )

        tr.addpostclose(
            b'changegroup-runhooks-%020i' % first,
            lambda _tr: repo._afterlock(run_hooks),
        )

    def finish(self) -> None:
        """Do nothing: the decoders compare the ends of packs."""

    def deltaiter(self) -> Iterator[Any]:
        """Return nothing: ``store`` takes the revisions itself."""
        return iter(())

    def filelogheader(self) -> dict[bytes, bytes]:
        """Return that there are no more files."""
        return {}

    def _unpackmanifests(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: manifests are stored."""

    def store(self, target: Any, tr: Any, added: Any) -> bool:
        """Store the packs; return whether there was anything in them."""
        repo = self._repo
        make = getattr(repo, 'pack_sink', None)
        sink = make(tr) if make is not None else None
        if sink is None:
            sink = RevlogSink(
                repo, tr, functools.partial(compat.writable_file, repo)
            )
        stored = False
        while self._packs:
            # What is known of a pack is forgotten when it has been applied.
            stored = self._store(target, tr, self._packs.pop(0), sink) or stored
        sink.finish()
        return stored

    def _store(
        self, target: Any, tr: Any, pack: decoder.Decoder, sink: PackSink
    ) -> bool:
        linkrevs: list[int] = []
        for event in pack.events():
            if isinstance(event, Changesets):
                linkrevs.extend(self._add_changesets(target, tr, event))
            elif isinstance(event, PackedFrame):
                sink.add_frame(event)
            elif isinstance(event, Index):
                added = sink.add_index(event, linkrevs)
                if event.kind == layout.FILE:
                    self.revisions += added
                    self.files.update(line.name for line in event.lines)
        return bool(linkrevs)

    def _add_changesets(
        self, target: Any, tr: Any, event: Changesets
    ) -> list[int]:
        """Append changesets to the changelog; return their revisions."""
        if any(flags & ~flagutil.REVIDX_KNOWN_FLAGS for flags in event.flags):
            raise PackError('unknown flags')
        first = len(target.index)
        revs: list[int] = []
        with target._writing(tr):
            appender = Appender(target, tr)
            appender.extend(self._changesets(target, event, revs))
            appender.flush()
        new = len(target.index) - first
        nodes, texts = event.nodes, event.texts
        if new != len(revs):
            at = [n for n, rev in enumerate(revs) if rev >= first]
            nodes, texts = [nodes[n] for n in at], [texts[n] for n in at]
        names = branches.note(self._repo, target, first, nodes, texts)
        if self._branches is not None:
            self._branches |= names
        return revs

    def _changesets(
        self, target: Any, event: Changesets, revs: list[int]
    ) -> Iterator[Entry]:
        """Yield the changesets that ``target`` does not have.

        Add the revisions of all to ``revs``.
        """
        get_rev = target.index.get_rev
        step: Callable[[int], None] | None = self.callback
        if step is not None:
            step(len(event.nodes))
        following = len(target.index)
        for node, (p1, p2), flags, text in zip(
            event.nodes, event.parents, event.flags, event.texts, strict=True
        ):
            rev = get_rev(node)
            if rev is None:
                rev = following
                following += 1
                p1_rev = nullrev if p1 == layout.NULL else get_rev(p1)
                p2_rev = nullrev if p2 == layout.NULL else get_rev(p2)
                if p1_rev is None or p2_rev is None:
                    raise PackError('a changeset has an unknown parent')
                yield node, p1_rev, p2_rev, rev, flags, len(text), None, text
            revs.append(rev)
