# SPDX-License-Identifier: GPL-2.0-or-later
"""Authentication of users, for tests of permissions.

It does what a web server in front of hgweb does. A request with Basic
credentials and the password "secret" gets its user name as REMOTE_USER. Other
requests stay anonymous. This is a Mercurial extension; WSGI applications can
call ``authenticated`` instead.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from mercurial import extensions
from mercurial.hgweb import request


def authenticated(env: Any) -> Any:
    """Return a WSGI environment with REMOTE_USER if the password is right."""
    field = env.get('HTTP_AUTHORIZATION', '')
    if isinstance(field, bytes):
        field = field.decode('latin-1')
    scheme, _sep, value = field.partition(' ')
    if scheme.lower() == 'basic':
        try:
            text = base64.b64decode(value).decode('utf-8')
        except (binascii.Error, UnicodeDecodeError):
            text = ''
        user, _sep, password = text.partition(':')
        if password == 'secret':
            return dict(env, REMOTE_USER=user)
    return env


def login(orig: Any, env: Any, *args: Any, **kwargs: Any) -> Any:
    """Set REMOTE_USER in the WSGI environment before hgweb reads it."""
    # hgwebdir parses a request a second time for the repository.
    known = 'REMOTE_USER' in env
    return orig(env if known else authenticated(env), *args, **kwargs)


def extsetup(ui: Any) -> None:
    extensions.wrapfunction(request, 'parserequestfromenv', login)
