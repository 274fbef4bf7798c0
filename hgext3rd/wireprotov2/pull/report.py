# SPDX-License-Identifier: GPL-2.0-or-later
"""What a pull of many transactions says: once, as if it were a single one.

Knows neither where changesets come from nor how they are applied.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from mercurial import hook
from mercurial.i18n import _
from mercurial.node import short


@contextlib.contextmanager
def few_hooks(repo: Any) -> Iterator[None]:
    """Do not ask for each incoming changeset whether there is a hook for it.

    Mercurial does, which is a tenth of the CPU of a clone.
    """
    repo = repo.unfiltered()
    if hook.hashook(repo.ui, b'incoming'):
        yield
        return
    call = repo.hook

    def call_others(name: bytes, *args: Any, **kwargs: Any) -> Any:
        return name != b'incoming' and call(name, *args, **kwargs)

    repo.hook = call_others
    try:
        yield
    finally:
        del repo.hook


class Report:
    """Sums up the transactions made under ``transaction`` on ``repo``."""

    def __init__(self, repo: Any) -> None:
        self._repo = repo.unfiltered()
        self._first = len(self._repo)
        self._files: set[bytes] = set()
        self._counts = {b'changesets': 0, b'revisions': 0, b'heads': 0}

    @contextlib.contextmanager
    def transaction(self, url: bytes, name: bytes) -> Iterator[Any]:
        """A transaction of a pull from ``url`` that says nothing itself."""
        with self._observed(), self._repo.transaction(name) as tr:
            tr.hookargs[b'source'] = b'pull'
            tr.hookargs[b'url'] = url
            yield tr
            for key in self._counts:
                count = tr.changes.get(b'changegroup-count-%s' % key, 0)
                self._counts[key] += count

    @contextlib.contextmanager
    def _observed(self) -> Iterator[None]:
        """Keep what every transaction says from being said, and note which
        files are opened to be added to."""
        repo = self._repo
        loud = repo.ui
        ui = loud.copy()

        class quietui(ui.__class__):  # type: ignore[name-defined]
            def status(self, *msg: bytes, **opts: Any) -> None:
                pass

        ui.__class__ = quietui
        opened = repo.file

        def file(path: bytes, *args: Any, **kwargs: Any) -> Any:
            # hg <= 7.0 does not say what for
            if kwargs.get('writable', True):
                self._files.add(path)
            return opened(path, *args, **kwargs)

        repo.ui = ui
        repo.file = file
        try:
            yield
        finally:
            repo.ui = loud
            del repo.file

    def write(self) -> None:
        """Say what was added, as the end of one pull would."""
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
