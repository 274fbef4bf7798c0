# SPDX-License-Identifier: GPL-2.0-or-later
"""Credentials for requests that version 1 might not need any for.

Version 2 reads with POST requests. Many servers let everybody read and ask for
a login when a request is a POST, because with version 1 only pushes are. A user
without credentials must not be asked for any when version 1 does the same
without. Nothing here knows what the requests are for.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

from mercurial import error, url


@contextlib.contextmanager
def stored_only(opener: Any) -> Iterator[None]:
    """Make ``opener`` use stored credentials, and ask the user for none.

    Stored credentials are those in the URL, in ``[auth]`` and in what
    extensions such as mercurial_keyring keep, and those that the user has
    entered for an earlier request. Without any, a request that needs a login is
    answered with the error 401.
    """
    handlers = _handlers(opener)
    managers = [handler.passwd for handler in handlers]
    for handler in handlers:
        handler.passwd = _StoredPasswords(handler.passwd)
    try:
        yield
    finally:
        for handler, manager in zip(handlers, managers, strict=True):
            handler.passwd = manager


@contextlib.contextmanager
def forget_refused(opener: Any) -> Iterator[None]:
    """Forget credentials that are first used inside, if it raises.

    Mercurial sends credentials with all later requests, among them requests of
    version 1 that would succeed without any.
    """
    handlers = [h for h in _handlers(opener) if hasattr(h, 'auth')]
    known = [handler.auth for handler in handlers]
    try:
        yield
    except BaseException:
        for handler, auth in zip(handlers, known, strict=True):
            handler.auth = auth
        raise


def share(opener: Any, new: Any) -> None:
    """Give the opener ``new`` the credentials that ``opener`` has now."""
    known = {type(handler): handler for handler in _handlers(opener)}
    for handler in _handlers(new):
        if type(handler) not in known:
            continue
        other = known[type(handler)]
        # A copy: the openers may be used in different threads.
        handler.passwd.passwddb = copy.deepcopy(other.passwd.passwddb)
        if hasattr(other, 'auth'):
            # As on the first connection, these credentials are also used for a
            # server that the handshake was redirected to.
            handler.auth = other.auth


def _handlers(opener: Any) -> list[Any]:
    """Return the handlers of ``opener`` that send credentials."""
    kinds = (url.httpbasicauthhandler, url.httpdigestauthhandler)
    return [
        handler
        for handler in getattr(opener, 'handlers', ())
        if isinstance(handler, kinds)
    ]


class _StoredPasswords(url.passwordmgr):
    """The passwords that ``manager`` finds without asking the user."""

    def __init__(self, manager: Any) -> None:
        self.__dict__.update(manager.__dict__)
        self.ui = manager.ui.copy()
        self.ui.setconfig(b'ui', b'interactive', b'no', b'wireprotov2')

    def find_user_password(self, realm: Any, authuri: str) -> Any:
        try:
            return super().find_user_password(realm, authuri)
        except error.Abort:
            # There are none. The server's answer becomes an error.
            return None, None
