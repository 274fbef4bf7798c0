# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of this extension, all in the section ``[lfsserver]``.

The registration, ``hg help lfsserver`` and the reference in the documentation
are made from this table. The module is imported whenever the extension is
loaded: keep it light.
"""

from __future__ import annotations

from ..amalgam.options import Option

OPTIONS = (
    Option(
        'lfsserver',
        'serve',
        True,
        'boolean',
        """
        Whether to answer LFS requests. This can be set for each repository.
        """,
    ),
    Option(
        'lfsserver',
        'store',
        b'local',
        'text',
        """
        Where the blobs of a repository are: ``local`` for
        ``.hg/store/lfs/objects``, or the URL of an object store, such as
        ``s3://bucket/prefix``. Give each repository a prefix of its own. Object
        stores need the Python package ``obstore``.
        """,
    ),
    Option(
        'lfsserver',
        'store:.*',
        None,
        'text',
        """
        An option of the object store, under the name that ``obstore`` gives it,
        such as ``store:endpoint``, ``store:region`` or
        ``store:access_key_id``. The additional option
        ``store:public-endpoint`` is the endpoint in signed links, if clients
        reach the store at another address than the server.
        """,
        shown='store:NAME',
        pattern=True,
    ),
    Option(
        'lfsserver',
        'signed-links',
        True,
        'boolean',
        """
        Whether clients transfer content directly from and to an object store,
        with signed links. Otherwise, and with stores that cannot sign links,
        the content passes through this server.
        """,
    ),
    Option(
        'lfsserver',
        'max-signed-upload',
        0,
        'size',
        """
        The size of the largest blob that clients upload with a signed link, which
        is one request to the object store. Larger blobs pass through this server,
        which uploads them in parts. 0 means what the store accepts: 5 GiB in S3,
        5000 MiB in Azure, 5 TiB in GCS. Stores that imitate S3 may accept less.
        """,
    ),
    Option(
        'lfsserver',
        'link-lifetime',
        3600,
        'integer',
        """
        How long the links in the response to a batch request are valid, in
        seconds.
        """,
    ),
    Option(
        'lfsserver',
        'max-object-size',
        0,
        'size',
        """
        The size of the largest blob that clients may upload, with a unit such
        as ``2GB``; 0 means no limit.
        """,
    ),
    Option(
        'lfsserver',
        'quota',
        0,
        'size',
        """
        How many bytes the blobs of a repository may take together, with a unit
        such as ``100GB``; 0 means no limit. Uploads in progress count. Uploads
        that do not fit are refused with status 507.
        """,
    ),
    Option(
        'lfsserver',
        'max-batch',
        50000,
        'integer',
        """
        The largest number of objects in a batch request. The memory for a
        request grows with it.
        """,
    ),
    Option(
        'lfsserver',
        'max-transfers',
        0,
        'integer',
        """
        The largest number of transfers that a server process runs at the same
        time; 0 means no limit. Further clients get status 429 and try again.
        """,
    ),
    Option(
        'lfsserver',
        'locks',
        True,
        'boolean',
        """
        Whether to serve the API for file locks.
        """,
    ),
    Option(
        'lfsserver',
        'trusted-proxies',
        (b'127.0.0.0/8', b'::1'),
        'list',
        """
        The addresses and networks of proxies whose header fields ``Forwarded``,
        ``X-Forwarded-Proto`` and ``X-Forwarded-Host`` are believed: links in
        responses begin with what they say. A proxy that connects through a Unix
        socket is always believed. ``web.baseurl`` comes before these fields.
        """,
    ),
    Option(
        'lfsserver',
        'enforce-locks',
        False,
        'boolean',
        """
        Whether to refuse pushes of changesets that touch a file which another
        user has locked.
        """,
    ),
    Option(
        'lfsserver',
        'timeout',
        120,
        'integer',
        """
        How many seconds ``hg serve`` waits for a client that neither sends nor
        receives, and for the header of a request; 0 means forever. Under
        gunicorn, this is how long the body of a request is waited for.
        """,
    ),
)
