# SPDX-License-Identifier: GPL-2.0-or-later
"""store file history in a SQLite database

Repositories created with this extension and the following setting keep the
history of all files and manifests in one database,
``.hg/store/history.sqlite``, instead of in one or two revlog files per tracked
file::

  [storage]
  new-repo-backend = sqlite

Changesets stay in a revlog. All commands work as in other
repositories, and so do pull, push and clone with any other Mercurial, over any
protocol. :hg:`admin::sqlite-convert` converts existing repositories.

These repositories have the requirement ``sqlitestore-v3``. Mercurial without
this extension refuses to open them.

While a process uses the database, SQLite keeps two more files beside it, with
the suffixes ``-wal`` and ``-shm``. They are part of the database. To copy the
database, use :hg:`admin::sqlite-backup`, or copy all three files while no
process writes to the repository.

The extension has the following options:
"""

from __future__ import annotations

from ..amalgam import metadata
from ..amalgam import options as registry
from . import commands, hooks, options

# The text above is what "hg help extensions" reads while the extension is
# disabled, so it has to be a literal.
__doc__ = f'{__doc__ or ""}\n{registry.help_text(options.OPTIONS)}'

__version__ = metadata.__version__
testedwith = metadata.testedwith
minimumhgversion = metadata.minimumhgversion
buglink = metadata.buglink

configtable = registry.register(options.OPTIONS)
cmdtable = commands.cmdtable
uisetup = hooks.uisetup
reposetup = hooks.reposetup
