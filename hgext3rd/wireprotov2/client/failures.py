# SPDX-License-Identifier: GPL-2.0-or-later
"""What can go wrong between this client and a server, as Mercurial aborts.

Every message names the server first. The classes tell callers what may be
done about it; nothing here decides that.
"""

from __future__ import annotations

from mercurial import error
from mercurial.i18n import _


class ServerFailure(error.RemoteError):
    """The server broke the protocol, or failed or refused a command.

    ``url`` is the server's, without a password; ``reason`` one line.
    """

    def __init__(self, url: bytes, reason: bytes) -> None:
        super().__init__(_(b'%s: %s') % (url, reason), hint=self.advice())
        self.url = url
        self.reason = reason

    def advice(self) -> bytes:
        return _(b"'--config wireprotov2.client=no' uses version 1")


class CommandRefused(ServerFailure):
    """The server understood a command and answered with an error."""


class Unavailable(ServerFailure):
    """There is no version 2 behind the URL the server advertised.

    That is an error of HTTP, not a wrong answer.
    """


class ConnectionFailure(ServerFailure):
    """The connection broke, or a gateway says the server is away for now.

    Trying again may help.
    """

    def advice(self) -> bytes:
        return _(
            b'this may be an intermittent network failure; try again later'
        )
