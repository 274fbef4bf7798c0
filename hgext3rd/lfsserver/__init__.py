# SPDX-License-Identifier: GPL-2.0-or-later
"""serve large files to Git LFS and Mercurial clients

With this extension ``hg serve`` and hgweb answer the Git LFS protocol for
each repository they serve: batch requests, uploads and downloads that are
streamed, verification, and file locks.  The addresses are those clients look
for: ``/.git/info/lfs`` and ``/info/lfs`` below the repository. ::

  [extensions]
  lfsserver =

Mercurial's own ``lfs`` extension may be enabled beside it, and has to be for
repositories whose changesets refer to large files; requests are answered by
this extension then.  Blobs are kept where ``lfs`` keeps them, in
``.hg/store/lfs/objects``, or in an object store.

Permissions are those of hgweb: who may pull may download and list locks, who
may push may upload, lock and unlock.

Configuration::

  [lfsserver]
  # answer LFS requests; can be turned off for one repository
  serve = yes

  # where blobs are kept: "local", or the URL of an object store, such as
  # s3://bucket/prefix; give each repository a prefix of its own
  store = local

  # options of an object store, named as the obstore package does
  store:endpoint = https://s3.example.com
  store:access_key_id = ...

  # let clients transfer blobs directly from and to an object store by signed
  # links; otherwise they pass through this server
  signed-links = yes

  # how long the links of a batch answer are valid, in seconds
  link-lifetime = 3600

  # largest blob, largest number of blobs in a batch request, largest number
  # of transfers a server process runs at a time (0: no limit)
  max-object-size = 0
  max-batch = 50000
  max-transfers = 0

  # serve the locking API
  locks = yes

  # seconds "hg serve" waits for a client that neither sends nor receives
  # (0: forever)
  timeout = 120

Administration::

  hg admin::lfs-verify    read all blobs again and find corrupt ones
  hg admin::lfs-gc        find blobs no changeset refers to
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

configitem(b'lfsserver', b'serve', default=True)
configitem(b'lfsserver', b'store', default=b'local')
configitem(b'lfsserver', b'store:.*', default=None, generic=True)
configitem(b'lfsserver', b'signed-links', default=True)
configitem(b'lfsserver', b'link-lifetime', default=3600)
configitem(b'lfsserver', b'max-object-size', default=0)
configitem(b'lfsserver', b'max-batch', default=50000)
configitem(b'lfsserver', b'max-transfers', default=0)
configitem(b'lfsserver', b'locks', default=True)
configitem(b'lfsserver', b'timeout', default=120)

cmdtable = commands.cmdtable
uisetup = hooks.uisetup
