# SPDX-License-Identifier: GPL-2.0-or-later
"""Wrappers of Mercurial's functions that read files: they prefetch first.

``hooks`` installs them when a process opens a repository whose files may lack
data. Each passes what will be read to ``prefetch``, then calls the original.
"""

from __future__ import annotations

from typing import Any

from . import absence, prefetch


def calculateupdates(
    orig: Any, repo: Any, wctx: Any, mctx: Any, *args: Any, **kwargs: Any
) -> Any:
    """Prefetch what a merge or an update will read."""
    result = orig(repo, wctx, mctx, *args, **kwargs)
    prefetch.merged(repo, wctx, mctx, result)
    return result


def displayrevs(
    orig: Any, ui: Any, repo: Any, revs: Any, displayer: Any, getcopies: Any
) -> Any:
    """Prefetch what a list of changesets will show."""
    revs = prefetch.shown(
        displayer, repo, revs, lambda rev: rev, copies=bool(getcopies)
    )
    return orig(ui, repo, revs, displayer, getcopies)


def displaygraph(
    orig: Any,
    ui: Any,
    repo: Any,
    dag: Any,
    displayer: Any,
    edgefn: Any,
    getcopies: Any = None,
    props: Any = None,
) -> Any:
    """Prefetch what a graph of changesets will show."""
    dag = prefetch.shown(
        displayer,
        repo,
        dag,
        lambda item: item[2].rev(),
        copies=bool(getcopies),
    )
    return orig(ui, repo, dag, displayer, edgefn, getcopies, props)


def prefetchchangedfiles(orig: Any, repo: Any, revs: Any, match: Any) -> Any:
    """Prefetch what an export of changesets reads, parents included."""
    prefetch.changes(repo, revs, match and (lambda ctx: match))
    return orig(repo, revs, match)


def annotate(orig: Any, fctx: Any, *args: Any, **kwargs: Any) -> Any:
    """Prefetch the history of a file that will be annotated."""
    prefetch.history(fctx)
    return orig(fctx, *args, **kwargs)


def walkchangerevs(
    orig: Any, repo: Any, revs: Any, make_matcher: Any, prepare: Any
) -> Any:
    """Prefetch what a walk through changesets will read."""
    if absence.is_shallow(repo):
        prepare = prefetch.walking(repo, revs, make_matcher, prepare)
    return orig(repo, revs, make_matcher, prepare)


def files(
    orig: Any, ui: Any, ctx: Any, match: Any, uipathfn: Any, fm: Any, *args: Any
) -> Any:
    """Prefetch the files whose sizes will be shown."""
    if ui.verbose or b'size' in fm.datahint():
        prefetch.files(ctx.repo(), [(ctx.rev(), match)])
    return orig(ui, ctx, match, uipathfn, fm, *args)


def makestream(
    orig: Any, repo: Any, outgoing: Any, *args: Any, **kwargs: Any
) -> Any:
    """Prefetch what a changegroup will hold."""
    prefetch.outgoing(repo, outgoing.missing)
    return orig(repo, outgoing, *args, **kwargs)
