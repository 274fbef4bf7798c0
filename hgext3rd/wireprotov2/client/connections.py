# SPDX-License-Identifier: GPL-2.0-or-later
"""Further connections to a server that somebody is connected to already.

Whoever sits in front of a clone over several connections is told once that
they are insecure, and asked once for the passphrase of a key. Nothing here
knows what the connections are for.
"""

from __future__ import annotations

import threading
from typing import Any

from mercurial import url


def speak_once(ui: Any, opener: Any) -> None:
    """Have ``opener`` say and ask the same of TLS for the first time only."""
    if not url.has_https:
        return
    opener.hg_tls_ui = _once(ui)
    _share(opener, opener.hg_tls_ui)


def another(ui: Any, authinfo: Any, opener: Any) -> Any:
    """Return an opener that knows what ``opener`` has been told.

    ``authinfo`` is that of the URL the user gave.
    """
    new = url.opener(ui, authinfo)
    tls_ui = getattr(opener, 'hg_tls_ui', None)
    if tls_ui is not None:
        _share(new, tls_ui)
    known = _basic_authentication(opener)
    handler = _basic_authentication(new)
    if known is not None and handler is not None:
        # also for where the server redirected us, as on one connection
        handler.auth = known.auth
    return new


def _share(opener: Any, ui: Any) -> None:
    for handler in getattr(opener, 'handlers', ()):
        if isinstance(handler, url.httpshandler):
            handler.ui = ui


def _basic_authentication(opener: Any) -> Any:
    for handler in getattr(opener, 'handlers', ()):
        if isinstance(handler, url.httpbasicauthhandler):
            return handler
    return None


def _once(ui: Any) -> Any:
    """Return a copy of ``ui`` that does not repeat itself, in any thread."""
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
