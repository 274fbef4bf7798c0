# SPDX-License-Identifier: GPL-2.0-or-later
"""Which missing data a command is going to read, so that it is fetched at once.

Each function is called by a hook of Mercurial before files are read, works out
the file revisions, and asks ``demand`` for those whose data is missing. All of
them do nothing in ordinary repositories, and raise ``MissingFileData`` before the
command has changed anything.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from mercurial import ancestor, error, mergestate
from mercurial import match as matchmod
from mercurial.i18n import _
from mercurial.node import nullrev

from . import absence, demand, extent

#: Changesets whose diffs are printed are prepared so many at a time.
BATCH = 100

Item = TypeVar('Item')

#: The nodes of paths, by changeset.
Files = dict[int, dict[bytes, list[bytes]]]


def files(repo: Any, revmatches: Iterable[tuple[Any, Any]]) -> None:
    """Provide the files that match at each revision.

    ``revmatches`` is as ``scmutil.prefetchfiles`` describes it.
    """
    if not absence.is_shallow(repo):
        return
    repo = repo.unfiltered()
    wanted: Files = {}
    suspects = extent.read(repo)
    for rev, match in revmatches:
        ctx = repo[rev]
        if ctx.rev() is None or (
            suspects is not None and ctx.rev() not in suspects
        ):
            continue
        manifest = ctx.manifest()
        matcher = matchmod.intersectmatchers(match, repo.narrowmatch())
        for path in manifest.walk(matcher):
            _add(wanted, ctx.rev(), path, manifest[path])
    demand.provide(repo, wanted)


def _add(wanted: Files, rev: int, path: bytes, node: bytes) -> None:
    nodes = wanted.setdefault(rev, {}).setdefault(path, [])
    if node not in nodes:
        nodes.append(node)


def merged(repo: Any, wctx: Any, mctx: Any, result: Any) -> None:
    """Provide what an update or a merge reads.

    ``result`` is that of ``merge.calculateupdates``.
    """
    if not absence.is_shallow(repo):
        return
    repo = repo.unfiltered()
    wanted: Files = {}

    def add(ctx: Any, path: bytes | None) -> None:
        if ctx.rev() is not None and path and path in ctx:
            if repo.narrowmatch()(path):
                _add(wanted, ctx.rev(), path, ctx.filenode(path))

    get = (mergestate.ACTION_GET,)
    for path, _unused, _message in result.getactions(get):
        add(mctx, path)
    moved = (mergestate.ACTION_LOCAL_DIR_RENAME_GET,)
    for _path, args, _message in result.getactions(moved):
        add(mctx, args[0])
    combined = (
        mergestate.ACTION_MERGE,
        mergestate.ACTION_CHANGED_DELETED,
        mergestate.ACTION_DELETED_CHANGED,
    )
    for _path, args, _message in result.getactions(combined):
        ours, theirs, base, _move, ancestor = args
        add(wctx.p1(), ours)
        add(mctx, theirs)
        add(repo[ancestor], base)
    demand.provide(repo, wanted)


def shown(
    displayer: Any,
    repo: Any,
    items: Iterable[Item],
    rev_of: Callable[[Item], int],
    copies: bool,
) -> Iterator[Item]:
    """Yield ``items``; provide what ``displayer`` reads to show them.

    ``rev_of`` returns the changeset of an item. ``copies`` says that copies are
    shown.
    """
    if not absence.is_shallow(repo):
        yield from items
        return
    used = _template_uses(displayer)
    diffs = (
        bool(used & {b'diff', b'diffstat'})
        or displayer._includediff
        or displayer._includestat
    )
    copies = copies or bool(used & {b'file_copies', b'file_copies_switch'})
    match = displayer._differ._makefilematcher
    items = iter(items)
    while batch := list(itertools.islice(items, BATCH)):
        if diffs:
            changes(repo, map(rev_of, batch), match)
        if copies:
            paths = {
                path for item in batch for path in repo[rev_of(item)].files()
            }
            demand.provide_copies(repo, paths)
        yield from batch


def _template_uses(displayer: Any) -> set[bytes]:
    """Return the keywords and functions in the template of a displayer."""
    template = getattr(displayer, 't', None)
    if template is None:
        return set()
    keywords, functions = template.symbolsused(displayer._tref)
    return {*keywords, *functions}


def walking(
    repo: Any,
    revs: Iterable[int],
    make_matcher: Callable[[Any], Any],
    prepare: Callable[[Any, Any], None],
) -> Callable[[Any, Any], None]:
    """Return ``prepare``, which provides what it is going to read.

    The arguments are those of ``scmutil.walkchangerevs``, which calls it for the
    changesets ``revs`` in about their order.
    """
    searcher = getattr(prepare, '__self__', None)
    whole = getattr(searcher, '_all_files', False)
    following = iter(revs)
    done: set[int | None] = set()

    def prepare_provided(ctx: Any, match: Any) -> None:
        while ctx.rev() not in done:
            batch = list(itertools.islice(following, BATCH))
            if not batch:
                break
            done.update(batch)
            if whole:
                files(repo, [(rev, make_matcher(repo[rev])) for rev in batch])
            else:
                changes(repo, batch, make_matcher)
        prepare(ctx, match)

    return prepare_provided


def changes(repo: Any, revs: Iterable[int], match: Any = None) -> None:
    """Provide what changesets change in their first parent.

    ``match`` returns the matcher of the files that matter in a changeset.
    """
    if not absence.is_shallow(repo):
        return
    repo = repo.unfiltered()
    wanted: Files = {}
    for rev in revs:
        ctx = repo[rev]
        if ctx.rev() is None:
            continue
        p1 = ctx.p1()
        if ctx.p2().rev() == nullrev:
            paths = ctx.files()
        else:
            # The files of a merge are those that differ from both parents.
            paths = p1.manifest().diff(ctx.manifest())
        matcher = repo.narrowmatch()
        if match is not None:
            matcher = matchmod.intersectmatchers(match(ctx), matcher)
        for path in filter(matcher, paths):
            for version in (ctx, p1):
                if version.rev() != nullrev and path in version:
                    _add(wanted, version.rev(), path, version.filenode(path))
    demand.provide(repo, wanted)


def history(fctx: Any) -> None:
    """Provide a file revision and all its ancestors, also under other names."""
    repo = fctx.repo()
    if not absence.is_shallow(repo):
        return
    repo = repo.unfiltered()
    if fctx.rev() is None:
        starts = [
            (parent.path(), parent.filenode()) for parent in fctx.parents()
        ]
    else:
        starts = [(fctx.path(), fctx.filenode())]
    done = set()
    while starts:
        path, node = starts.pop()
        filelog = repo.file(path)
        inner = filelog._revlog
        if (path, node) in done or not inner.hasnode(node):
            continue
        done.add((path, node))
        wanted: Files = {}
        revs = list(
            ancestor.lazyancestors(
                inner.parentrevs, [inner.rev(node)], inclusive=True
            )
        )
        for rev in revs:
            _add(wanted, inner.linkrev(rev), path, inner.node(rev))
        demand.provide(repo, wanted)
        for rev in revs:
            if inner.parentrevs(rev)[0] == nullrev:
                copied = filelog.renamed(inner.node(rev))
                if copied:
                    starts.append(copied)


def outgoing(repo: Any, nodes: Iterable[bytes]) -> None:
    """Provide the files that changesets bring to whoever gets these.

    Raises ``Abort``, which a server passes on to its client because nothing has
    been sent yet.
    """
    if not absence.is_shallow(repo):
        return
    repo = repo.unfiltered()
    suspects = extent.read(repo)
    match = repo.narrowmatch()
    wanted: Files = {}
    for node in nodes:
        ctx = repo[node]
        if suspects is not None and ctx.rev() not in suspects:
            continue
        for path in filter(match, ctx.files()):
            # A removed file has no revision in this changeset.
            if path in ctx:
                _add(wanted, ctx.rev(), path, ctx.filenode(path))
    try:
        demand.provide(repo, wanted)
    except demand.MissingFileData as exc:
        raise error.Abort(
            _(b'cannot send changesets without the data of their files: %s')
            % exc.message,
            hint=exc.hint,
        ) from exc
