# SPDX-License-Identifier: GPL-2.0-or-later
"""The narrow extension: files that leave a narrow clone.

``writing.narrowing`` removes them.
"""

from __future__ import annotations

from typing import Any

from .. import requirements


def narrow(orig: Any, ui: Any, repo: Any, *args: Any, **kwargs: Any) -> Any:
    """Narrow a clone, and remove from the database the files that leave it.

    Mercurial's function does the same for files in revlogs.
    """
    result = orig(ui, repo, *args, **kwargs)
    if requirements.uses_sqlite(repo):
        from ..writing import narrowing

        narrowing.remove_unmatched(repo)
    return result
