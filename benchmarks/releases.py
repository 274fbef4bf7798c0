# SPDX-License-Identifier: GPL-2.0-or-later
"""Turn wheels into a repository: one changeset for each, in the given order.

This program runs in a separate process.  It commits without a working copy, at
a thousand files a second: ten times as fast as ``hg addremove`` and ``hg
commit``.  It imports nothing from the rest of the benchmarks.
"""

from __future__ import annotations

import pathlib
import sys
import zipfile
from typing import Any


def build(target: pathlib.Path, wheels: list[pathlib.Path]) -> None:
    """Create the repository ``target``, without a working copy."""
    from mercurial import context, hg
    from mercurial import ui as uimod

    ui = uimod.ui.load()
    repo = hg.repository(ui, str(target).encode(), create=True)
    known: dict[bytes, bytes] = {}
    with repo.lock(), repo.transaction(b'releases'):
        for number, wheel in enumerate(wheels):
            files = _content(wheel)
            changed = [
                path
                for path in sorted(known.keys() | files.keys())
                if known.get(path) != files.get(path)
            ]
            parent = repo[b'tip'].node()
            release = wheel.name.split('-')[1].encode()

            def file_context(
                repo: Any,
                ctx: Any,
                path: bytes,
                files: dict[bytes, bytes] = files,
            ) -> Any:
                if path not in files:
                    return None
                return context.memfilectx(repo, ctx, path, files[path])

            changeset = context.memctx(
                repo,
                (parent, None),
                release,
                changed,
                file_context,
                date=b'%d 0' % (number * 86400),
            )
            repo.commitctx(changeset)
            known = files


def _content(wheel: pathlib.Path) -> dict[bytes, bytes]:
    """Return the files of a wheel without its metadata: path -> content."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name.encode(): archive.read(name)
            for name in archive.namelist()
            if '.dist-info/' not in name and not name.endswith('/')
        }


if __name__ == '__main__':
    build(pathlib.Path(sys.argv[1]), [pathlib.Path(a) for a in sys.argv[2:]])
