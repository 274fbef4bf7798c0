# SPDX-License-Identifier: GPL-2.0-or-later
"""clone and pull over wire protocol version 2, with responses kept in caches

On a server, this extension answers wire protocol version 2 below ``/api/`` of
every repository that is served over HTTP. Clients are Mercurial 4.8 to 6.0
(with ``experimental.httppeer.advertise-v2``) and every Mercurial with this
extension. On a client, it makes :hg:`clone`, :hg:`pull` and :hg:`incoming` use
that protocol if the server offers it, and version 1 otherwise. Pushes, and
everything else that version 2 has no command for, use version 1 on the same
connection.

:hg:`clone --lazy` fetches all changesets, but the content of files only when a
command reads it: in one request for all that the command is going to need. What
was fetched stays. :hg:`clone --depth N` also brings the content of ``N``
generations, and :hg:`pull --depth N` that of more generations later. Both go back
to the server for what is missing; :hg:`admin::fetch-files` fetches the rest, so
that the server is not needed any more.

Server::

  [extensions]
  wireprotov2 =

  [wireprotov2]
  # keep responses, see below
  cacher = directory

Client::

  [extensions]
  wireprotov2 =

Options:
"""

from __future__ import annotations

from ..amalgam import metadata
from ..amalgam import options as amalgam_options
from . import commands, hooks
from .options import OPTIONS

__doc__ = f'{__doc__}\n{amalgam_options.help_text(OPTIONS)}'
__version__ = metadata.__version__
testedwith = metadata.testedwith
minimumhgversion = metadata.minimumhgversion
buglink = metadata.buglink

configtable = amalgam_options.register(OPTIONS)
cmdtable = commands.cmdtable
uisetup = hooks.uisetup
reposetup = hooks.reposetup
