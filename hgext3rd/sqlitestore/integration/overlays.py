# SPDX-License-Identifier: GPL-2.0-or-later
"""Files and manifests of bundle repositories and of union repositories.

The classes of these repositories are Mercurial's; their histories, which
combine two sources, are in ``revlogs.overlay``.
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


def bundle_manifestlog(orig: Any, repo: Any) -> Any:
    """Return the manifests of a bundle repository."""
    if not requirements.uses_sqlite(repo):
        return orig(repo)
    from ..revlogs import manifests, overlay

    # Mercurial's own method does the same.
    repo._cgunpacker.seek(repo.manstart)
    repo._cgunpacker.manifestheader()
    root = overlay.bundle_manifests(repo)
    repo.filestart = repo._cgunpacker.tell()
    return manifests.SQLiteManifestLog(
        repo.svfs, repo, root, repo.narrowmatch()
    )


def union_manifestlog(orig: Any, repo: Any) -> Any:
    """Return the manifests of a union repository."""
    from mercurial import manifest

    from ..revlogs import overlay

    if requirements.uses_sqlite(repo):
        root = overlay.UnionManifest(repo, b'')
    elif requirements.uses_sqlite(repo.repo2):
        root = overlay.union_manifests_with_ours(repo)
    else:
        return orig(repo)
    return manifest.manifestlog(repo.svfs, repo, root, repo.narrowmatch())
