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

# A gateway answers one of these when the server behind it is busy or restarts.
PASSING_STATUS = frozenset((429, 502, 503, 504))


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
    """The URL advertised for version 2 answers with an HTTP error.

    Requests of version 1 may succeed all the same: proxies often refuse certain
    methods, media types, headers or sizes, or demand a login for some requests.
    """


class LoginRequired(Unavailable):
    """The server demands a login, and has not accepted any."""

    def advice(self) -> bytes:
        return _(b"'hg help config.auth' explains how to configure a login")


class ConnectionFailure(RemoteFailure):
    """The connection broke, or a gateway reports that the server is away.

    Sending the request again may help. ``wait`` is how many seconds the server
    wants the client to wait before that.
    """

    wait: float = 0

    def advice(self) -> bytes:
        return _(
            b'this may be an intermittent network failure; try again later'
        )


class Busy(ConnectionFailure):
    """The server has too much to do at the moment.

    It would refuse a request of version 1 as well.
    """

    def __init__(self, url: bytes, reason: bytes, wait: float) -> None:
        super().__init__(url, reason)
        self.wait = wait

    def advice(self) -> bytes:
        return _(b'the server is busy; try again later')


def of_status(
    url: bytes, code: int, reason: bytes, wait: float = 0
) -> RemoteFailure:
    """Return the failure for an answer with an HTTP error status.

    ``wait`` is what the server says about when to ask again, in seconds. This
    function, with ``may_pass``, decides how each status is treated.
    """
    if may_pass(code):
        if wait:
            return Busy(url, reason, wait)
        return ConnectionFailure(url, reason)
    if code == 401:
        return LoginRequired(url, reason)
    return Unavailable(url, reason)


def may_pass(code: int) -> bool:
    """Return whether the same request may succeed later.

    All other errors may be caused by what distinguishes the request from one of
    version 1.
    """
    return code in PASSING_STATUS


def warn_fallback(ui: Any, exc: RemoteFailure) -> None:
    """Warn that version 1 is used because of ``exc``."""
    ui.warn(
        _(b'warning: falling back to wire protocol version 1: %s\n')
        % exc.message
    )
