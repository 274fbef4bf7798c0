# SPDX-License-Identifier: GPL-2.0-or-later
"""Writing bundles of public history for Mercurial without extensions.

Nothing here knows where bundles are kept.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from mercurial import (
    bundlecaches,
    commands,
    exchange,
    localrepo,
    streamclone,
)
from mercurial.node import hex


def make(
    repo: Any, spec: bytes, heads: list[bytes], path: bytes, temporary: bytes
) -> None:
    """Write a bundle of everything public to ``path``.

    ``heads`` are those of the public history, ``spec`` says what kind of
    bundle is wanted. ``temporary`` is a folder that the caller removes.
    """
    params = bundlecaches.parsebundlespec(repo, spec, strict=False).params
    stream = b'stream' in params
    source = repo
    if stream and not _can_be_copied(repo):
        source = _as_revlogs(repo, heads, os.path.join(temporary, b'revlogs'))
    if stream:
        _bundle(source, path, type=spec, all=True)
    else:
        make_part(source, spec, [], heads, path)


def make_part(
    repo: Any,
    spec: bytes,
    bases: Sequence[bytes],
    heads: Sequence[bytes],
    path: bytes,
) -> None:
    """Write a bundle of ``heads`` and their ancestors to ``path``.

    ``bases`` and their ancestors are left out.
    """
    base = [hex(node) for node in bases] or [b'null']
    _bundle(repo, path, type=spec, base=base, rev=[hex(node) for node in heads])


def _bundle(repo: Any, path: bytes, **options: Any) -> None:
    with repo.ui.configoverride({(b'ui', b'quiet'): b'yes'}, b'wireprotov2'):
        commands.bundle(repo.ui, repo, path, **options)


def _can_be_copied(repo: Any) -> bool:
    """Return whether a stock client can read a copy of the whole store.

    Everything in it must be public, and nothing in it may need an extension.
    """
    known = localrepo.localrepository._basesupported
    needed = streamclone.streamed_requirements(repo)
    everything = len(repo.unfiltered())
    return needed <= known and len(repo.filtered(b'immutable')) == everything


def _as_revlogs(repo: Any, heads: list[bytes], path: bytes) -> Any:
    """Return a new repository in ``path`` with the public history in revlogs."""
    ui = repo.baseui.copy()
    ui.setconfig(b'storage', b'new-repo-backend', b'revlogv1', b'wireprotov2')
    ui.setconfig(b'ui', b'quiet', b'yes', b'wireprotov2')
    # Hooks are for the repository that users have.
    for name, _command in ui.configitems(b'hooks'):
        ui.setconfig(b'hooks', name, b'', b'wireprotov2')
    copy = localrepo.instance(ui, path, True)
    exchange.pull(copy, repo.peer(), heads=heads)
    return copy
