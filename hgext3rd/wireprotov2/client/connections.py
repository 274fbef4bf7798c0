# SPDX-License-Identifier: GPL-2.0-or-later
"""Additional connections to a server that this process is connected to already.

A clone uses several connections. However many there are, the user is warned
about an insecure server once, and asked for the passphrase of a client key
once. Nothing here knows what the connections are used for.
"""

from __future__ import annotations

import threading
from typing import Any

from mercurial import url, util

from . import logins, pace

# The longest content, in bytes, that is read only to keep a connection. A new
# connection costs about as much as this many bytes.
MOST_UNWANTED = 16 << 10


def talk_once(ui: Any, opener: Any) -> None:
    """Make the TLS connections of ``opener`` warn and ask once only.

    ``opener`` is a ``mercurial.url.opener``. Openers made from it by
    ``another`` share its warnings and answers.
    """
    if not url.has_https:
        return
    opener.hg_tls_ui = _once(ui)
    _use_ui(opener, opener.hg_tls_ui)


def another(ui: Any, authinfo: Any, opener: Any) -> Any:
    """Return an opener with new connections and the credentials of ``opener``.

    Its responses have the same minimum speed as those of the first connection.

    ``authinfo`` belongs to the URL that the user gave, see
    ``urlutil.url.authinfo``.
    """
    new = url.opener(ui, authinfo)
    tls_ui = getattr(opener, 'hg_tls_ui', None)
    if tls_ui is not None:
        _use_ui(new, tls_ui)
    logins.share(opener, new)
    pace.limit(new, ui.configwith(float, b'http', b'timeout'))
    return new


def dismiss(response: Any) -> None:
    """End a response whose content nobody wants, such as the page of an error.

    A response that is only closed leaves its connection to the next request.
    The rest of the content, which may still be on its way, would be taken for
    the answer to that request. ``response`` is an HTTP response or the
    exception ``HTTPError`` for one.
    """
    response = getattr(response, 'fp', None) or response
    try:
        if len(response.read(MOST_UNWANTED + 1)) <= MOST_UNWANTED:
            response.close()
            return
    except (OSError, util.httplib.HTTPException):
        pass
    response.close_connection()


def _use_ui(opener: Any, ui: Any) -> None:
    """Make the HTTPS handlers of ``opener`` talk to the user through ``ui``."""
    for handler in getattr(opener, 'handlers', ()):
        if isinstance(handler, url.httpshandler):
            handler.ui = ui


def _once(ui: Any) -> Any:
    """Return a copy of ``ui`` that repeats no warning and no password prompt.

    Several threads may use it at the same time.
    """
    ui = ui.copy()
    lock = threading.Lock()
    said: set[tuple[bytes, ...]] = set()
    answers: dict[bytes | None, Any] = {}

    class onceui(ui.__class__):
        def warn(self, *msg: bytes, **opts: Any) -> None:
            with lock:
                if msg not in said:
                    said.add(msg)
                    super().warn(*msg, **opts)

        def getpass(
            self, prompt: bytes | None = None, default: bytes | None = None
        ) -> Any:
            with lock:
                if prompt not in answers:
                    answers[prompt] = super().getpass(prompt, default)
                return answers[prompt]

    ui.__class__ = onceui
    return ui
