# SPDX-License-Identifier: GPL-2.0-or-later
"""When a repack pays, and what happens then without being asked.

Looking costs little but not nothing, so it happens only when the number of
changesets passes a multiple of STEP.
"""

from __future__ import annotations

from typing import Any

from mercurial import encoding, error
from mercurial.i18n import _
from mercurial.utils import procutil

from ..formats import statements
from ..reading.store import Store

STEP = 64

# Loose revisions from which on a repack pays, if they are this part of all:
# everything is packed anew, so that the effort stays in proportion.
MIN_LOOSE = 2000
MIN_PART = 8

CHOICES = (b'yes', b'suggest', b'no')

# So do this many frames if they are smaller than this on average: small pulls
# leave such.
MIN_FRAMES = 100
SMALL_FRAME = 32 << 10


def pays(store: Store) -> bool:
    """Whether enough was added since the last repack."""
    row = store.db.row(statements.COUNT_FRAMES)
    if row and row[0] >= MIN_FRAMES and row[1] < row[0] * SMALL_FRAME:
        return True
    row = store.db.row(statements.COUNT_LOOSE)
    loose: int = row[0] if row else 0
    if loose < MIN_LOOSE:
        return False
    row = store.db.row(statements.COUNT_SEALED)
    sealed: int = row[0] if row else 0
    return loose * MIN_PART >= loose + sealed


def consider(repo: Any, before: int) -> None:
    """Suggest or start a repack; ``before`` is the old number of changesets."""
    ui = repo.ui
    if len(repo.changelog) // STEP == before // STEP:
        return
    choice = ui.config(b'storage', b'sqlite.auto-repack')
    if choice not in CHOICES:
        raise error.ConfigError(
            _(b"invalid value for storage.sqlite.auto-repack: '%s'") % choice,
            hint=_(b'use one of: %s') % b', '.join(CHOICES),
        )
    if choice == b'no':
        return
    if not pays(repo.sqlitestore):
        return
    if choice == b'suggest':
        ui.status(
            _(
                b"(run 'hg admin::sqlite-repack' to make the repository"
                b' smaller and faster)\n'
            )
        )
        return
    ui.debug(b'starting a repack in the background\n')
    procutil.runbgcommand(
        [
            procutil.hgexecutable(),
            b'-R',
            repo.root,
            b'admin::sqlite-repack',
            b'--auto',
            b'--quiet',
        ],
        encoding.environ,
    )
