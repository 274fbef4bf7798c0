# SPDX-License-Identifier: GPL-2.0-or-later
"""The keyword extension: its files, which expand keywords when read.

Their class is in ``revlogs.keywords``.
"""

from __future__ import annotations

from typing import Any

from .. import requirements


def open_file(
    orig: Any, opener: Any, kwt: Any, path: bytes, *args: Any, **kwargs: Any
) -> Any:
    """Return the file that the extension's ``kwfilelog(...)`` returns.

    ``orig`` is the class ``kwfilelog`` itself. In repositories that keep files
    in SQLite a subclass of it takes its place.
    """
    if not requirements.uses_sqlite(kwt.repo):
        return orig(opener, kwt, path, *args, **kwargs)
    from .. import compat
    from ..revlogs import keywords

    # The path of the revlog, which does not exist here.
    kwargs.pop('radix', None)
    store = kwt.repo.unfiltered().sqlitestore
    writable = compat.file_writable(**kwargs)
    return keywords.make_class(orig)(store, opener, kwt, path, writable)
