# SPDX-License-Identifier: GPL-2.0-or-later
"""WSGI application for any number of workers.

    HGWEB_CONFIG=/srv/hg/hgweb.conf gunicorn --worker-class gthread \\
        --workers 4 --threads 8 --bind unix:/run/hg/web.sock hgweb_wsgi:application

(copied as ``hgweb_wsgi.py`` to a folder that gunicorn imports from).
"""

import os

# Mercurial's lazy imports must stay off: threads would race for them.
from mercurial.hgweb import hgweb

_hgweb = hgweb(os.fsencode(os.environ['HGWEB_CONFIG']))


def application(environ, start_response):
    """Take the user's name from the proxy that authenticated them.

    Only for servers that nobody but the proxy can reach, a unix socket for
    instance: whoever can set the header can be anybody.
    """
    user = environ.pop('HTTP_X_REMOTE_USER', '')
    if user:
        environ['REMOTE_USER'] = user
        environ['AUTH_TYPE'] = 'Basic'
    return _hgweb(environ, start_response)
