# SPDX-License-Identifier: GPL-2.0-or-later
"""Building the pieces of public history ahead of time.

What ``hg admin::wire-warm`` does. It only fills the cache: everything is
checked again when a request is answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mercurial import encoding, error
from mercurial.i18n import _

from ..cache import base, factory, service, view
from ..cache.agreement import CacheAgreement
from ..segments import bundle, record
from .commands import segments as command


@dataclass(slots=True)
class Outcome:
    """What was done: pieces built, their bytes, pieces that were there."""

    built: int = 0
    size: int = 0
    present: int = 0


def warm(ui: Any, repo: Any) -> Outcome:
    """Put every piece into the cache that is not there in full strength.

    Interrupted and run again, it goes on where it was. Raises ``Abort`` if
    there is no cache that outlives this process.
    """
    cache = factory.for_repo(repo)
    name = ui.config(b'wireprotov2', b'cacher')
    if cache is None or name == b'memory':
        raise error.Abort(
            _(b'there is no cache to fill'),
            hint=_(
                b'set wireprotov2.cacher to one that serving processes share, '
                b'such as directory'
            ),
        )
    served = repo.filtered(b'served')
    if not record.offered(served, view.narrow_access(served, None)):
        raise error.Abort(
            _(b'access to this repository is limited, its history is not cut')
        )
    return _fill(ui, served, cache)


def _fill(ui: Any, repo: Any, cache: service.ResponseCache) -> Outcome:
    outcome = Outcome()
    pieces = record.listing(repo, CacheAgreement(repo)).pieces()
    changesets = sum(piece.changesets for piece in pieces)
    limit = ui.configbytes(b'wireprotov2', b'limit.response-buffer')
    with ui.makeprogress(
        _(b'building segments'), unit=_(b'changesets'), total=changesets
    ) as progress:
        for piece in pieces:
            if piece.size <= limit:
                _fill_one(repo, cache, piece, outcome)
            progress.increment(piece.changesets)
    return outcome


def _fill_one(
    repo: Any, cache: service.ResponseCache, piece: Any, outcome: Outcome
) -> None:
    state = view.segment_key_state(repo, piece.name)
    key = None if state is None else cache.key(state)
    if key is None:
        return
    level = bundle.LEVEL_AHEAD

    def produce() -> bytes:
        body = b''.join(command.body(repo, piece, level))
        outcome.size += len(body)
        return body

    try:
        if cache.fill(key, produce, level):
            outcome.built += 1
        else:
            outcome.present += 1
    except base.CacherError as e:
        raise error.Abort(encoding.strtolocal(str(e))) from None
