# SPDX-License-Identifier: GPL-2.0-or-later
"""serve large files to Git LFS and Mercurial clients

With this extension, ``hg serve`` and hgweb answer the Git LFS protocol for
every repository that they serve: batch requests, streamed uploads and
downloads, verification, and file locks. Clients find the API below the
repository at ``/.git/info/lfs`` and ``/info/lfs``. ::

  [extensions]
  lfsserver =

Blobs are kept in ``.hg/store/lfs/objects``, where Mercurial's own ``lfs``
extension keeps them, or in an object store.

The server of a repository whose changesets refer to large files needs
Mercurial's ``lfs`` extension as well. If both are enabled, this one answers
the requests.

Permissions are those of hgweb: users who may pull may download blobs and list
locks; users who may push may upload blobs, lock and unlock.

Commands for administrators:

- :hg:`admin::lfs-verify` reads all blobs again and quarantines corrupt ones.
- :hg:`admin::lfs-gc` finds blobs that no changeset refers to.
- :hg:`admin::lfs-usage` shows how much space blobs take, and where.
- :hg:`admin::lfs-locks` lists the locks of files and breaks them.
"""

from __future__ import annotations

from ..amalgam import metadata
from ..amalgam import options as tables
from . import commands, hooks, options

__doc__ = f"""{__doc__}
Options:

{tables.help_text(options.OPTIONS)}"""

__version__ = metadata.__version__
testedwith = metadata.testedwith
minimumhgversion = metadata.minimumhgversion
buglink = metadata.buglink

configtable = tables.register(options.OPTIONS)
cmdtable = commands.cmdtable
uisetup = hooks.uisetup
reposetup = hooks.reposetup
