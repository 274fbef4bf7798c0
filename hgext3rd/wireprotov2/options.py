# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of this extension: the only list of them.

Registration, ``hg help wireprotov2`` and the reference in the documentation are
made from it. Code reads options without repeating their defaults; only the
built-in cachers state theirs, since they also work without a configuration, and a
test compares them. Imported whenever the extension is loaded: keep it light.
"""

from __future__ import annotations

from typing import Any

from ..amalgam.options import Option


def _option(
    name: str, default: Any, kind: str, help: str, **more: Any
) -> Option:
    return Option('wireprotov2', name, default, kind, help, **more)


OPTIONS: tuple[Option, ...] = (
    _option(
        'serve',
        True,
        'boolean',
        """Answer version 2 requests.""",
    ),
    _option(
        'client',
        True,
        'boolean',
        """Use version 2 when a server offers it.""",
    ),
    _option(
        'apis',
        (b'exp-http-v2-0003', b'exp-http-v2-0002'),
        'list',
        """The generations of the protocol that a server answers.""",
    ),
    _option(
        'cacher',
        b'none',
        'text',
        """Where a server keeps the responses of commands over immutable data:
        ``none``, ``memory``, ``directory``, ``redis``, ``objectstore``, a name
        that another extension has registered, or that of an entry point in the
        group ``amalgam.cachers``.""",
    ),
    _option(
        'cacher.admit-after',
        1,
        'integer',
        """A response is kept when it was asked for this many times in one
        process. Segments, and what :hg:`admin::wire-warm` makes, are always
        kept.""",
    ),
    _option(
        'cacher.identity',
        None,
        'text',
        """A name for the repository in the cache. Replicas of one repository
        that have the same name share the entries of a common cache.""",
        shown="made from the repository's path and first changeset",
    ),
    _option(
        'cacher.memory.size',
        b'128 MB',
        'size',
        """The most bytes that the cacher ``memory`` holds in one process.""",
    ),
    _option(
        'cacher.directory.path',
        None,
        'path',
        """The directory of the cacher ``directory``.""",
        shown="``wireprotov2`` in the repository's cache folder",
    ),
    _option(
        'cacher.directory.size',
        b'2 GB',
        'size',
        """The most bytes that this directory holds. The entries that were not
        used for the longest time are removed first.""",
    ),
    _option(
        'cacher.redis.url',
        None,
        'text',
        """The server of the cacher ``redis``, such as
        ``redis://localhost:6379/0``.""",
    ),
    _option(
        'cacher.redis.ttl',
        604800,
        'integer',
        """Seconds that Redis keeps an entry after it was last stored. 0 keeps
        entries until Redis evicts them.""",
        shown='604800, a week',
    ),
    _option(
        'cacher.objectstore.url',
        None,
        'text',
        """The object store of the cacher ``objectstore``, such as
        ``s3://bucket/prefix``, ``gs://bucket/prefix``,
        ``az://container/prefix`` or ``file:///srv/hgcache``.""",
    ),
    _option(
        'cacher.objectstore.redirect',
        False,
        'boolean',
        """Let clients that accept redirects fetch cached responses from the
        object store instead of the server.""",
    ),
    _option(
        'cacher.objectstore.public-url',
        None,
        'text',
        """The URL prefix under which clients reach the objects. Without it,
        clients get signed URLs.""",
    ),
    _option(
        r'cacher\..*',
        None,
        'text',
        """Options of cachers that extensions and other distributions provide.""",
        shown='cacher.*',
        pattern=True,
    ),
    _option(
        'clonebundles',
        (),
        'list',
        """Clone bundles for Mercurial without this extension, such as
        ``zstd-v2 streamv2``, which :hg:`admin::wire-warm` makes and lists in
        ``clonebundles.manifest``. A client takes the first that it can read.
        They are kept in the object store of the cacher if clients can reach it,
        otherwise in ``.hg/bundle-cache``. Pull bundles are made for those of
        version ``v2``, always in that folder.""",
    ),
    _option(
        'on-demand',
        True,
        'boolean',
        """Fetch the content of files that is not here when it is read, in
        clones made with ``--lazy`` or ``--depth``.""",
    ),
    _option(
        'connections',
        4,
        'integer',
        """How many segments of the history a client fetches at the same
        time.""",
    ),
    _option(
        'retry',
        3,
        'integer',
        """How often a client repeats a failed request before it gives up. 0
        means never.""",
    ),
    _option(
        'retry.delay',
        1.0,
        'number',
        """Seconds that a client waits before it repeats a request. The time
        doubles with every further failure.""",
    ),
    _option(
        'metrics',
        False,
        'boolean',
        """Serve Prometheus metrics at ``/api/metrics``. Requires
        ``prometheus-client``.""",
    ),
    _option(
        'limit.request-size',
        b'64 MB',
        'size',
        """The most bytes in the body of one request.""",
    ),
    _option(
        'limit.command-size',
        b'32 MB',
        'size',
        """The most bytes in the decoded arguments of one command.""",
    ),
    _option(
        'limit.commands',
        1000,
        'integer',
        """The most commands in one request.""",
    ),
    _option(
        'limit.idle-time',
        600,
        'integer',
        """Seconds after which :hg:`serve` closes a connection that neither
        sends nor takes data, or does not send a complete request in this time.
        0 means never. WSGI servers have options of their
        own for this.""",
    ),
    _option(
        'limit.computing',
        0,
        'integer',
        """How many clones and pulls, of version 1 and 2, over HTTP and ssh, a
        server computes at a time. Others wait in the order in which they came.
        Responses from the cache and pushes do not count, and never wait. 0
        means no limit.""",
    ),
    _option(
        'limit.waiting',
        30,
        'integer',
        """The most seconds that a clone or pull waits until it may be
        computed. It is then refused, with status 503 and the header
        ``Retry-After``.""",
    ),
    _option(
        'limit.folder',
        None,
        'path',
        """The directory in which the processes of one machine count what they
        compute. Repositories with the same directory have a common limit. It
        must be on a local file system.""",
        shown="``wireprotov2-slots`` in the repository's cache folder",
    ),
    _option(
        'limit.response-buffer',
        b'64 MB',
        'size',
        """The most bytes of one response that a server holds in memory in order
        to cache it. A larger response is sent and not cached.""",
    ),
    Option(
        'replicas',
        '.*',
        None,
        'text',
        """The URL of a replica of this repository, or its path, under a name of
        your choice. A replica is told of each change, see :hg:`help
        admin::replicas`. The option belongs in the ``hgrc`` of the repository.""",
        shown='NAME',
        pattern=True,
    ),
    Option(
        'replicas',
        'wait',
        0,
        'number',
        """The most seconds that a push waits for the replicas to confirm it. When
        they are over, and as soon as no further attempt falls within them, the
        push succeeds with a warning. 0 means that it does not wait.""",
    ),
    Option(
        'replicas',
        'source',
        None,
        'text',
        """On a replica: the URL from which it pulls when it is told to, or the
        name of a path. Those who may push to the replica may tell it. Bookmarks
        become those of the source.""",
    ),
)
