# SPDX-License-Identifier: GPL-2.0-or-later
"""store file history in a SQLite database

Repositories created with this extension and::

  [storage]
  new-repo-backend = sqlite

keep the history of all files in one database, ``.hg/store/files.sqlite``,
instead of one or two files per tracked file. Changesets and manifests stay
where they are. Everything works as in other repositories: exchange with any
Mercurial, over any protocol, and all commands.

Such repositories have the requirement ``sqlitestore-v2``; Mercurial without
this extension refuses them.

The following settings apply::

  [storage]
  # Compression of new repositories: zstd, zlib or none.
  sqlite.compression = zstd

  # When SQLite flushes to the disk: off, normal, full or extra. With full, a
  # commit survives a power failure as soon as the command ends.
  sqlite.synchronous = full

  # Seconds to wait while another process, such as a backup tool, holds the
  # database.
  sqlite.busy-timeout = 60

  # When many revisions were added since the last admin::sqlite-repack: start
  # one in the background (yes), say that it would pay (suggest), or nothing (no).
  sqlite.auto-repack = suggest

While a process uses the database, files with the suffixes ``-wal`` and
``-shm`` lie beside it. They belong to it: copy the database with
:hg:`admin::sqlite-backup`, or copy all of them while no process writes.
"""

from __future__ import annotations

from mercurial import registrar

from ..amalgam import metadata
from . import commands, hooks

__version__ = metadata.__version__
testedwith = metadata.testedwith
minimumhgversion = metadata.minimumhgversion
buglink = metadata.buglink

configtable: dict = {}
configitem = registrar.configitem(configtable)

configitem(b'storage', b'sqlite.compression', default=b'zstd')
configitem(b'storage', b'sqlite.synchronous', default=b'full')
configitem(b'storage', b'sqlite.busy-timeout', default=b'60')
configitem(b'storage', b'sqlite.auto-repack', default=b'suggest')

cmdtable = commands.cmdtable
uisetup = hooks.uisetup
reposetup = hooks.reposetup
