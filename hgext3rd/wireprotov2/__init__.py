# SPDX-License-Identifier: GPL-2.0-or-later
"""clone and pull over wire protocol version 2, with responses kept in caches

On a server this extension answers wire protocol version 2 below ``/api/`` of
every repository served over HTTP. Clients are Mercurial 4.8 to 6.0 (with
``experimental.httppeer.advertise-v2``) and every Mercurial with this
extension. On a client it makes :hg:`clone`, :hg:`pull` and :hg:`incoming` use
that protocol where the server offers it, and version 1 elsewhere. Pushes and
all else version 2 has no command for use version 1 on the same connection.

:hg:`clone --depth N` fetches all changesets, and the files of ``N``
generations only; :hg:`pull --depth N` fetches those of more.

Server::

  [extensions]
  wireprotov2 =

  [wireprotov2]
  # keep responses, see below
  cacher = directory

Client::

  [extensions]
  wireprotov2 =

Configuration, all in section ``[wireprotov2]``:

``serve``
  Answer version 2 requests. (default: yes)

``client``
  Use version 2 where a server offers it. (default: yes)

``apis``
  The generations of the protocol to serve.
  (default: exp-http-v2-0003, exp-http-v2-0002)

``cacher``
  Where a server keeps the responses of commands over immutable data: ``none``,
  ``memory``, ``directory``, ``redis``, ``objectstore``, or the name of an
  entry point in the group ``amalgam.cachers``. (default: none)

``cacher.identity``
  A name that all replicas of one repository share, so that they share the
  entries of a common cacher. (default: made from the repository's path and
  first changeset)

``cacher.memory.size``
  The most bytes the memory cacher of one process holds. (default: 128 MB)

``cacher.directory.path``
  Directory of the directory cacher. (default: ``wireprotov2`` in the
  repository's cache folder)

``cacher.directory.size``
  The most bytes that directory holds; the entries unused for longest go first.
  (default: 2 GB)

``cacher.redis.url``
  The Redis server, such as ``redis://localhost:6379/0``.

``cacher.redis.ttl``
  Seconds an entry is kept in Redis after it was last stored; 0 keeps it until
  Redis evicts it. (default: 604800, a week)

``cacher.objectstore.url``
  The object store, such as ``s3://bucket/prefix``, ``gs://bucket/prefix``,
  ``az://container/prefix`` or ``file:///srv/hgcache``.

``cacher.objectstore.redirect``
  Let clients that accept redirects fetch cached responses from the object
  store themselves. (default: no)

``cacher.objectstore.public-url``
  The URL prefix under which clients reach the objects. Without it they get
  signed URLs.

``connections``
  How many pieces of history a client fetches at the same time. (default: 4)

``retry``
  How often a client tries a failed request again before it gives up; 0 means
  never. (default: 3)

``retry.delay``
  Seconds a client waits before it tries again; twice as long after every
  further failure. (default: 1.0)

``metrics``
  Serve Prometheus metrics at ``/api/metrics``, if ``prometheus-client`` is
  installed. (default: no)

``limit.request-size``
  The most bytes in the body of one request. (default: 64 MB)

``limit.command-size``
  The most bytes in the arguments of one command, decoded. (default: 32 MB)

``limit.commands``
  The most commands in one request. (default: 1000)

``limit.idle-time``
  Seconds after which :hg:`serve` gives a connection up that neither sends nor
  takes data; 0 means never. WSGI servers have options of their own for this.
  (default: 600)

``limit.response-buffer``
  The most bytes of one response that are held in memory so as to be cached; a
  larger response is sent and not cached. (default: 64 MB)
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

configitem(b'wireprotov2', b'serve', default=True)
configitem(b'wireprotov2', b'client', default=True)
configitem(
    b'wireprotov2',
    b'apis',
    default=lambda: [b'exp-http-v2-0003', b'exp-http-v2-0002'],
)
configitem(b'wireprotov2', b'cacher', default=b'none')
configitem(b'wireprotov2', b'cacher.identity', default=None)
configitem(b'wireprotov2', b'cacher.memory.size', default=b'128 MB')
configitem(b'wireprotov2', b'cacher.directory.path', default=None)
configitem(b'wireprotov2', b'cacher.directory.size', default=b'2 GB')
configitem(b'wireprotov2', b'cacher.redis.url', default=None)
configitem(b'wireprotov2', b'cacher.redis.ttl', default=604800)
configitem(b'wireprotov2', b'cacher.objectstore.url', default=None)
configitem(b'wireprotov2', b'cacher.objectstore.redirect', default=False)
configitem(b'wireprotov2', b'cacher.objectstore.public-url', default=None)
# options of cachers from other distributions
configitem(b'wireprotov2', rb'cacher\..*', default=None, generic=True)
configitem(b'wireprotov2', b'connections', default=4)
configitem(b'wireprotov2', b'retry', default=3)
configitem(b'wireprotov2', b'retry.delay', default=1.0)
configitem(b'wireprotov2', b'metrics', default=False)
configitem(b'wireprotov2', b'limit.request-size', default=b'64 MB')
configitem(b'wireprotov2', b'limit.command-size', default=b'32 MB')
configitem(b'wireprotov2', b'limit.commands', default=1000)
configitem(b'wireprotov2', b'limit.idle-time', default=600)
configitem(b'wireprotov2', b'limit.response-buffer', default=b'64 MB')

cmdtable = commands.cmdtable
uisetup = hooks.uisetup
reposetup = hooks.reposetup
