# SPDX-License-Identifier: GPL-2.0-or-later
"""Failures between this client and a server, as exceptions that abort ``hg``.

Every message begins with the server's URL. The classes tell apart what callers
may treat differently: retry, ask again elsewhere, or fall back to version 1.
Nothing here decides which of these happens.
"""

from __future__ import annotations

from typing import Any

from mercurial import error
from mercurial.i18n import _


class RemoteFailure(error.RemoteError):
    """The server broke the protocol, or it failed or refused a command.

    ``url`` is the URL of the server without its password. ``reason`` is one
    line of text.
    """

    def __init__(self, url: bytes, reason: bytes) -> None:
        super().__init__(_(b'%s: %s') % (url, reason), hint=self.advice())
        self.url = url
        self.reason = reason

    def advice(self) -> bytes:
        """Return the hint shown with the error."""
        return _(b"'--config wireprotov2.client=no' uses version 1")


class CommandRefused(RemoteFailure):
    """The server understood a command and answered it with an error."""


class Unavailable(RemoteFailure):
    """The URL advertised for version 2 answers with an HTTP error."""


class ConnectionFailure(RemoteFailure):
    """The connection broke, or a gateway reports that the server is away.

    Sending the request again may help.
    """

    def advice(self) -> bytes:
        return _(
            b'this may be an intermittent network failure; try again later'
        )


def warn_fallback(ui: Any, exc: RemoteFailure) -> None:
    """Warn that version 1 is used because of ``exc``."""
    ui.warn(
        _(b'warning: falling back to wire protocol version 1: %s\n')
        % exc.message
    )
