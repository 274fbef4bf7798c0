# SPDX-License-Identifier: GPL-2.0-or-later
"""The identity of a repository among those that share a cacher.

Knows nothing of keys or entries.
"""

from __future__ import annotations

from typing import Any

from mercurial.node import hex, nullid


def of(repo: Any) -> bytes:
    """Return what tells this repository from others in the same cacher.

    Replicas that share entries have the same ``cacher.identity`` in their
    configuration. By default a repository is identified by the path of its
    store and its first changeset.
    """
    name = repo.ui.config(b'wireprotov2', b'cacher.identity')
    if name:
        return b'name:' + name
    unfiltered = repo.unfiltered()
    first = unfiltered.changelog.node(0) if len(unfiltered) else nullid
    return b'path:%s:%s' % (unfiltered.spath, hex(first))
