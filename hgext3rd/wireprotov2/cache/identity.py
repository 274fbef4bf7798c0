# SPDX-License-Identifier: GPL-2.0-or-later
"""What tells the repositories that share a cacher apart."""

from __future__ import annotations

from typing import Any

from mercurial.node import hex, nullid


def of(repo: Any) -> bytes:
    """Return what tells this repository from others in the same cacher.

    Replicas that should share entries are given one name by the
    configuration; otherwise it is where the store lies and how it begins.
    """
    name = repo.ui.config(b'wireprotov2', b'cacher.identity')
    if name:
        return b'name:' + name
    unfiltered = repo.unfiltered()
    first = unfiltered.changelog.node(0) if len(unfiltered) else nullid
    return b'path:%s:%s' % (unfiltered.spath, hex(first))
