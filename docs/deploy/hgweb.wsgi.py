# SPDX-License-Identifier: GPL-2.0-or-later
"""WSGI application for any number of workers.

    HGWEB_CONFIG=/srv/hg/hgweb.conf gunicorn --worker-class gthread \\
        --workers 4 --threads 8 --bind unix:/run/hg/web.sock hgweb_wsgi:application

Copy this file as ``hgweb_wsgi.py`` to a folder that gunicorn imports from.
"""

import os

# Mercurial's lazy imports must stay off: threads would race for modules.
from mercurial.hgweb import hgweb

_hgweb = hgweb(os.fsencode(os.environ['HGWEB_CONFIG']))


def application(environ, start_response):
    """Answer a request for the user whom the proxy authenticated.

    Use this only if nobody but the proxy can reach the server, for instance
    through a unix socket: a client that can set the header can be any user.
    """
    user = environ.pop('HTTP_X_REMOTE_USER', '')
    if user:
        environ['REMOTE_USER'] = user
        environ['AUTH_TYPE'] = 'Basic'
    return _hgweb(environ, start_response)
