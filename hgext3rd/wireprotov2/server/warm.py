# SPDX-License-Identifier: GPL-2.0-or-later
"""Building ahead of time what clones need: segments, and bundles for others.

This is what ``hg admin::wire-warm`` does. For segments it only fills the cache:
everything is checked again when a request is answered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mercurial import encoding, error
from mercurial.i18n import _

from ..access import requester
from ..cache import base, factory, service
from ..segments import bundle, packing
from ..segments.cut import Segment
from ..segments.history import History
from . import bundlelist, clonebundles, pullbundles
from .bundlelist import BundleChanges


@dataclass(slots=True)
class Outcome:
    """The result: ``built`` segments, and ``outlines`` for lazy clones.

    All of these have ``size`` bytes together. ``present`` is how many segments
    the cache had already. ``bundles`` and ``pulls`` tell what happened to
    clone bundles and pull bundles.
    """

    built: int = 0
    outlines: int = 0
    size: int = 0
    present: int = 0
    bundles: BundleChanges = field(default_factory=BundleChanges)
    pulls: BundleChanges = field(default_factory=BundleChanges)


def warm(ui: Any, repo: Any) -> Outcome:
    """Fill the cache with all segments, the closed ones strongly compressed.

    It gets them with and without the data of files. Makes the clone and pull
    bundles that the configuration asks for as well. If this is interrupted, the
    next run continues. Raises ``Abort`` if there is no cache that outlives this
    process and no clone bundle is wanted, or if access to the repository is
    limited.
    """
    specs = clonebundles.specifications(repo)
    cache = factory.for_repo(repo)
    name = ui.config(b'wireprotov2', b'cacher')
    if name == b'memory':
        cache = None
    without = not name or name in (b'none', b'memory')
    if cache is None and not (without and clonebundles.concerned(repo)):
        raise error.Abort(
            _(b'there is no cache to fill'),
            hint=_(
                b'set wireprotov2.cacher to one that serving processes share, '
                b'such as directory'
            ),
        )
    history = History(requester.served(repo))
    if not history.offered:
        raise error.Abort(
            _(b'this repository has no segments, since access to it is limited')
        )
    outcome = Outcome()
    if cache is not None:
        _fill(ui, history, cache, outcome)
    store = None if cache is None else cache.file_store()
    if clonebundles.concerned(repo):
        with bundlelist.locked(repo) as possible:
            # Otherwise, another process does the same.
            if possible:
                outcome.bundles = clonebundles.refresh(repo, specs, store)
                closed = history.segments().closed
                outcome.pulls = pullbundles.refresh(repo, specs, closed)
    return outcome


def _fill(
    ui: Any, history: History, cache: service.ResponseCache, outcome: Outcome
) -> None:
    # Segments that are in a span are not needed by themselves.
    segments = [(span, bundle.LEVEL_AHEAD) for _start, span in history.joined()]
    rest = history.segments().rest
    if rest is not None:
        segments.append((rest, bundle.LEVEL_OPEN))
    changesets = sum(segment.changesets for segment, _level in segments)
    limit = ui.configbytes(b'wireprotov2', b'limit.response-buffer')
    # Others are not fetched by lazy clones.
    outlined = packing.packable(history.changegroup_version())
    with ui.makeprogress(
        _(b'building segments'), unit=_(b'changesets'), total=changesets
    ) as progress:
        for segment, level in segments:
            if segment.size <= limit:
                built = _build(history, cache, segment, level)
                if built:
                    outcome.built += 1
                    outcome.size += built
                elif built is not None:
                    outcome.present += 1
                if outlined:
                    size = _build(history, cache, segment, level, outline=True)
                    outcome.outlines += bool(size)
                    outcome.size += size or 0
            progress.increment(segment.changesets)


def _build(
    history: History,
    cache: service.ResponseCache,
    segment: Segment,
    level: int,
    outline: bool = False,
) -> int | None:
    """Call ``history.fill``; raise ``Abort`` if the cacher does not work."""
    try:
        return history.fill(cache, segment, level, outline)
    except base.CacherError as e:
        raise error.Abort(encoding.strtolocal(str(e))) from None
