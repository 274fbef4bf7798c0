# SPDX-License-Identifier: GPL-2.0-or-later
"""The summary of a pull that takes many transactions.

The user sees the summary of one pull, not one for each transaction. Nothing
here knows where changesets come from or how they are applied.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from mercurial.i18n import _
from mercurial.node import short


class Report:
    """Adds up what several transactions add to ``repo``."""

    def __init__(self, repo: Any) -> None:
        self._repo = repo.unfiltered()
        self._first = len(self._repo)
        self._files: set[bytes] = set()
        self._counts = {b'changesets': 0, b'revisions': 0, b'heads': 0}
        #: whether a transaction is open; otherwise files are not counted
        self.counting = False

    def add_file(self, path: bytes) -> None:
        """Count a file that was opened for writing."""
        self._files.add(path)

    @contextlib.contextmanager
    def transaction(self, url: bytes, name: bytes) -> Iterator[Any]:
        """Open the transaction ``name`` of a pull from ``url``.

        Yields the transaction, which prints no summary of its own.
        """
        with self._silently(), self._repo.transaction(name) as tr:
            tr.hookargs[b'source'] = b'pull'
            tr.hookargs[b'url'] = url
            yield tr
            for key in self._counts:
                count = tr.changes.get(b'changegroup-count-%s' % key, 0)
                self._counts[key] += count

    @contextlib.contextmanager
    def _silently(self) -> Iterator[None]:
        """Drop the status messages of transactions; count files meanwhile."""
        repo = self._repo
        loud = repo.ui
        ui = loud.copy()

        class quietui(ui.__class__):  # type: ignore[name-defined]
            def status(self, *msg: bytes, **opts: Any) -> None:
                pass

        ui.__class__ = quietui
        repo.ui = ui
        self.counting = True
        try:
            yield
        finally:
            self.counting = False
            repo.ui = loud

    def write(self) -> None:
        """Print the summary in the words of an ordinary pull."""
        repo = self._repo
        changelog = repo.changelog
        first = self._first
        count = len(changelog) - first
        if count <= 0:
            return
        heads = self._counts[b'heads']
        note = _(b' (%+d heads)') % heads if heads and first else b''
        repo.ui.status(
            _(b'added %d changesets with %d changes to %d files%s\n')
            % (count, self._counts[b'revisions'], len(self._files), note)
        )
        repo.ui.status(
            _(b'new changesets %s:%s\n')
            % (
                short(changelog.node(first)),
                short(changelog.node(len(changelog) - 1)),
            )
        )
