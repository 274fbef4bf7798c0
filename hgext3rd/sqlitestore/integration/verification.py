# SPDX-License-Identifier: GPL-2.0-or-later
"""``hg verify``: the checks of the database, before Mercurial's own.

The checks themselves are in ``reading.verify`` and ``revlogs.integrity``.
"""

from __future__ import annotations

from typing import Any

from mercurial.i18n import _

from .. import requirements


def verify_manifest(
    orig: Any,
    verifier: Any,
    mflinkrevs: Any,
    dir: bytes = b'',
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Check the database, then have Mercurial read every manifest.

    Mercurial calls its function for the root, and that calls itself for
    directories. Return what Mercurial's function returns, or nothing if the
    database is too damaged to read any.
    """
    if not dir and requirements.uses_sqlite(verifier.repo):
        from ..reading import verify

        fatal = False
        for problem in verify.check(verifier.repo.unfiltered().sqlitestore):
            verifier._err(None, problem.message, problem.path)
            fatal = fatal or problem.fatal
        verifier.sqlite_fatal = fatal
        if fatal:
            return {}
    return orig(verifier, mflinkrevs, dir, *args, **kwargs)


def verify_files(orig: Any, verifier: Any, *args: Any, **kwargs: Any) -> Any:
    """Have Mercurial read every revision of every file.

    Return the numbers of files and revisions that were read, or (0, 0) if the
    database is too damaged to read any.
    """
    if not requirements.uses_sqlite(verifier.repo):
        return orig(verifier, *args, **kwargs)
    if verifier.sqlite_fatal:
        return 0, 0
    from ..reading import verify

    store = verifier.repo.unfiltered().sqlitestore
    if verifier.ui.verbose:
        unused = verify.unused_frames(store)
        if unused:
            verifier.ui.write(
                _(b'%d frames are not in use (hg admin::sqlite-repack)\n')
                % unused
            )
    return orig(verifier, *args, **kwargs)
