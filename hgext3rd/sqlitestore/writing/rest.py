# SPDX-License-Identifier: GPL-2.0-or-later
"""Copy what belongs to a repository beside its database to one archive.

That is changesets, phases, bookmarks, obsolescence, the configuration and what
extensions keep. The archive is written under the lock of the repository, and
replaces an older one at once, so it never holds half a transaction. Knows nothing
of the database.
"""

from __future__ import annotations

import os
import re
import tarfile
from typing import Any

from mercurial import pycompat
from mercurial.i18n import _

from ...amalgam import durable
from .. import errors
from ..formats import schema

# Names below ``.hg`` that are left out, with everything below them. The patterns
# match from the beginning.
_LEFT_OUT = re.compile(
    b'|'.join(
        (
            # Copied by other means. Litestream has a folder beside the database.
            rb'store/\.?%s' % re.escape(schema.FILENAME),
            rb'lfs/|store/lfs/|largefiles/',
            # Made anew when they are needed.
            rb'(store/)?[\w-]*cache/',
            rb'clonebundles\.manifest|pullbundles\.manifest',
            # Of the working directory, which is not copied.
            rb'dirstate|updatestate|merge/|graftstate|rebasestate|histedit-state',
            rb'last-message\.txt',
            # Of transactions, of processes, and of the past.
            rb'(store/)?(journal|undo|lock|wlock)([./]|$)',
            rb'strip-backup/|blackbox\.log',
        )
    )
)


def archive(repo: Any, dest: bytes) -> int:
    """Write the archive ``dest``, and return its size in bytes.

    An older archive of that name is replaced when the new one is complete and on
    the disk. Raises StoreUnavailable if ``dest`` cannot be written.
    """
    partial = dest + b'.part'
    try:
        try:
            with (
                open(partial, 'wb') as out,
                tarfile.open(
                    fileobj=out, mode='w', format=tarfile.PAX_FORMAT
                ) as tar,
                repo.lock(),
            ):
                for name in _names(repo.sharedpath):
                    tar.add(
                        os.fsdecode(os.path.join(repo.sharedpath, name)),
                        os.fsdecode(os.path.join(b'.hg', name)),
                        recursive=False,
                    )
            durable.sync_file(partial)
            os.replace(partial, dest)
            durable.sync_directory(os.path.dirname(dest) or b'.')
        finally:
            if os.path.exists(partial):
                os.unlink(partial)
    except OSError as exc:
        raise errors.StoreUnavailable(
            _(b'cannot write %s: %s') % (dest, pycompat.bytestr(exc.strerror))
        ) from exc
    return os.stat(dest).st_size


def _names(root: bytes) -> list[bytes]:
    """Return the names of all files to copy, and of empty folders, in order."""
    found = []
    for folder, folders, files in os.walk(root):
        prefix = os.path.relpath(folder, root) + b'/'
        prefix = prefix.removeprefix(b'./')
        folders[:] = sorted(
            name
            for name in folders
            if not _LEFT_OUT.match(prefix + name + b'/')
        )
        found += [
            prefix + name
            for name in sorted(files)
            if not _LEFT_OUT.match(prefix + name)
        ]
    return found
