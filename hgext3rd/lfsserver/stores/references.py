# SPDX-License-Identifier: GPL-2.0-or-later
"""The blobs that the changesets of a repository refer to.

This module reads history and knows nothing of stores.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mercurial import revlog
from mercurial.i18n import _

_OID_LINE = re.compile(rb'^oid sha256:([0-9a-f]{64})$', re.MULTILINE)


def _paths(repo: Any, start: int) -> set[bytes]:
    """Return the paths that changesets from ``start`` on have touched.

    Paths outside the narrowspec are left out.
    """
    paths: set[bytes] = set()
    matches = repo.narrowmatch()
    changelog = repo.changelog
    with repo.ui.makeprogress(
        _(b'reading changesets'),
        unit=_(b'changesets'),
        total=len(changelog) - start,
    ) as progress:
        for rev in changelog.revs(start):
            paths.update(changelog.readfiles(changelog.node(rev)))
            progress.increment()
    return {path for path in paths if matches(path)}


def _pointers(filelog: Any) -> Iterator[bytes]:
    """Yield the pointers: raw texts of revisions whose content is a blob."""
    flags = _flags(filelog)
    for rev in filelog:
        if flags(rev) & revlog.REVIDX_EXTSTORED:
            yield filelog.rawdata(filelog.node(rev))


def _flags(filelog: Any) -> Any:
    """Return the function from a revision to its storage flags."""
    inner = getattr(filelog, '_revlog', filelog)
    return inner.flags


def by_path(
    repo: Any, start: int = 0, *, as_seen: bool = False
) -> Iterator[tuple[bytes, str]]:
    """Yield the path and the oid of each revision whose content is a blob.

    These are all revisions of the files that changesets from the revision
    ``start`` on have touched. Hidden changesets count, unless only what
    ``repo`` shows is wanted ``as_seen``.
    """
    paths = sorted(_paths(repo if as_seen else repo.unfiltered(), start))
    repo = repo.unfiltered()
    with repo.ui.makeprogress(
        _(b'reading files'), unit=_(b'files'), total=len(paths)
    ) as progress:
        for path in paths:
            for text in _pointers(repo.file(path)):
                for oid in _OID_LINE.findall(text):
                    yield path, oid.decode('ascii')
            progress.increment()


def oids(repo: Any, start: int = 0) -> set[str]:
    """Return the oids that changesets refer to; see ``by_path``."""
    return {oid for _path, oid in by_path(repo, start)}
