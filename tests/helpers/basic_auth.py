# SPDX-License-Identifier: GPL-2.0-or-later
"""A Mercurial extension that authenticates users, for tests of permissions.

It does what a web server in front of hgweb does. A request with Basic
credentials and the password "secret" gets its user name as REMOTE_USER. Other
requests stay anonymous.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from mercurial import extensions
from mercurial.hgweb import request


def login(orig: Any, env: Any, *args: Any, **kwargs: Any) -> Any:
    """Set REMOTE_USER in the WSGI environment before hgweb reads it."""
    if 'REMOTE_USER' in env:
        # hgwebdir parsed the request; it is parsed again for the repository.
        return orig(env, *args, **kwargs)
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
            env = dict(env, REMOTE_USER=user)
    return orig(env, *args, **kwargs)


def extsetup(ui: Any) -> None:
    extensions.wrapfunction(request, 'parserequestfromenv', login)
