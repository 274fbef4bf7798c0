# SPDX-License-Identifier: GPL-2.0-or-later
"""Which file revisions lack their data, as storage says it.

``storage`` explains how such revisions are stored. A *storage* is the object
inside a filelog that stores revisions (``filelog._revlog``): a revlog, or what
another extension put there. Nothing here fetches or changes anything.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from mercurial.node import nullrev
from mercurial.revlogutils.constants import REVIDX_EXTSTORED

from ..requirements import SHALLOW
from . import texts

#: The most files that ``kept_open`` keeps.
MOST_OPENED = 5000


def is_shallow(repo: Any) -> bool:
    """Return whether file revisions of ``repo`` may lack their data."""
    return SHALLOW in repo.requirements


def of_file(repo: Any, path: bytes) -> Any:
    """Return the storage of the file ``path``.

    While revisions are added to a file, parts of them are on disk, and no other
    object of that file must be opened.
    """
    repo = repo.unfiltered()
    adding = getattr(repo, 'shallow_adding', {}).get(path)
    if adding is not None:
        return adding
    opened: dict[bytes, Any] | None = vars(repo).get('shallow_opened')
    if opened is None:
        return repo.file(path)._revlog
    found = opened.get(path)
    if found is None:
        if len(opened) >= MOST_OPENED:
            opened.clear()
        found = opened[path] = repo.file(path)._revlog
    return found


@contextlib.contextmanager
def kept_open(repo: Any) -> Iterator[None]:
    """Let ``of_file`` open each file once meanwhile.

    Opening a file reads its index, and several steps look at the same files.
    """
    repo = repo.unfiltered()
    if vars(repo).get('shallow_opened') is not None:
        yield
        return
    repo.shallow_opened = {}
    try:
        yield
    finally:
        repo.shallow_opened = None


def is_absent(storage: Any, rev: int) -> bool:
    """Return whether ``storage`` itself has a revision without its data."""
    return bool(
        rev != nullrev
        and storage.flags(rev) & REVIDX_EXTSTORED
        and not storage.rawsize(rev)
    )


def is_missing(repo: Any, storage: Any, node: bytes) -> bool:
    """Return whether this repository has no data of a revision.

    ``storage`` must have the revision itself.
    """
    return is_absent(storage, storage.rev(node)) and not texts.has_text(
        repo, node
    )


def flags_with_data(storage: Any, rev: int) -> int:
    """Return the flags that an absent revision has once it has its data."""
    return int(storage.flags(rev)) & ~REVIDX_EXTSTORED
