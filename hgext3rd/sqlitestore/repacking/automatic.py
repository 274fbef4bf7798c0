# SPDX-License-Identifier: GPL-2.0-or-later
"""Suggest or start a repack after much was added.

Every transaction that adds changesets ends with this check, so it must be
cheap, however long the history is: it looks at the newest frames only, stops
counting loose revisions as soon as there are enough, and counts sealed ones only
if there are many loose ones. With 2,000 of these it takes 0.6 ms.
"""

from __future__ import annotations

from typing import Any

from mercurial import error
from mercurial.i18n import _

from ..formats import statements
from ..reading.store import Store

# A repack pays if at least MIN_LOOSE revisions are loose, and at least one in
# MIN_PART of all. A repack stores all revisions anew, so the second condition
# keeps its time in proportion to the number of added revisions.
MIN_LOOSE = 2000
MIN_PART = 8

# A repack also pays if there are at least MIN_FRAMES frames, and the newest (up
# to NEWEST) have fewer than SMALL_FRAME bytes on average. Small pulls leave small
# frames.
MIN_FRAMES = 100
NEWEST = 1000
SMALL_FRAME = 32 << 10

# The values of ``storage.sqlite.auto-repack``.
CHOICES = (b'yes', b'suggest', b'no')


def pays(store: Store) -> bool:
    """Return whether enough was added since the last repack."""
    row = store.db.row(statements.COUNT_NEW_FRAMES, (NEWEST,))
    if row and row[0] >= MIN_FRAMES and row[1] < row[0] * SMALL_FRAME:
        return True
    if store.db.row(statements.HAS_MORE_LOOSE, (MIN_LOOSE - 1,)) is None:
        return False
    row = store.db.row(statements.COUNT_SEALED)
    sealed: int = row[0] if row else 0
    # One in MIN_PART of all is one for MIN_PART - 1 sealed ones; rounded up.
    enough = max(MIN_LOOSE, -(-sealed // (MIN_PART - 1)))
    return store.db.row(statements.HAS_MORE_LOOSE, (enough - 1,)) is not None


def consider(repo: Any) -> bool:
    """Suggest or start a repack, as configured, if it pays.

    Return whether it did. Raises ConfigError if ``storage.sqlite.auto-repack``
    has an unknown value.
    """
    ui = repo.ui
    choice = ui.config(b'storage', b'sqlite.auto-repack')
    if choice not in CHOICES:
        raise error.ConfigError(
            _(b"invalid value for storage.sqlite.auto-repack: '%s'") % choice,
            hint=_(b'use one of: %s') % b', '.join(CHOICES),
        )
    if choice == b'no' or not pays(repo.sqlitestore):
        return False
    if choice == b'suggest':
        ui.status(
            _(
                b"(run 'hg admin::sqlite-repack' to make the repository"
                b' smaller and faster)\n'
            )
        )
        return True
    from ...amalgam.serving import background

    ui.debug(b'starting a repack in the background\n')
    background.start(repo, b'admin::sqlite-repack', b'--auto', b'--quiet')
    return True
