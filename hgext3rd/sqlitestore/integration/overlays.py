# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of bundle repositories and of union repositories.

The classes of these repositories are Mercurial's; their files, which combine
two sources, are in ``revlogs.overlay``.
"""

from __future__ import annotations

from typing import Any

from mercurial import bundlerepo

from .. import requirements


def bundle_file(
    orig: Any, repo: Any, path: bytes, *args: Any, **kwargs: Any
) -> Any:
    """Return a file of a bundle repository, with its revisions in the bundle.

    A file that the bundle does not contain is one of the repository below.
    """
    if not requirements.uses_sqlite(repo):
        return orig(repo, path, *args, **kwargs)
    # Mercurial's own method does the same.
    if not repo._cgfilespos:
        repo._cgunpacker.seek(repo.filestart)
        repo._cgfilespos = bundlerepo._getfilestarts(repo._cgunpacker)
    if path not in repo._cgfilespos:
        return orig(repo, path, *args, **kwargs)
    from ..revlogs import overlay

    repo._cgunpacker.seek(repo._cgfilespos[path])
    return overlay.bundle_file(repo, path)


def union_file(
    orig: Any, repo: Any, path: bytes, *args: Any, **kwargs: Any
) -> Any:
    """Return a file of a union repository whose halves may be in SQLite."""
    from ..revlogs import overlay

    if requirements.uses_sqlite(repo):
        return overlay.union_file(repo, path)
    if requirements.uses_sqlite(repo.repo2):
        return overlay.union_with_ours(repo, path)
    return orig(repo, path, *args, **kwargs)
