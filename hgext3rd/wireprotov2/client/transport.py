# SPDX-License-Identifier: GPL-2.0-or-later
"""What sends requests to one API of a server, over whatever connection.

``exchange`` uses this interface. The transports are ``http`` and ``ssh``.
"""

from __future__ import annotations

import abc
import random
import time
from typing import Any

from mercurial import error
from mercurial.i18n import _
from mercurial.utils import stringutil, urlutil

from ..proto import frames
from . import failures

# The longest pause between two attempts, in seconds, and the longest that a
# server can ask for.
MAX_DELAY = 30.0
MAX_WAIT = 300.0


class Transport(abc.ABC):
    """Sends requests to one API of one repository.

    ``url`` is the URL of the API, or of the repository, for messages.
    """

    def __init__(
        self,
        ui: Any,
        url: bytes,
        framing: frames.Framing = frames.FRAMING_0006,
    ) -> None:
        self.ui = ui
        #: for messages, without a password
        self.url = urlutil.hidepassword(url)
        self.framing = framing
        #: how often a request is sent before its failure is final
        self.attempts = 1 + max(0, ui.configint(b'wireprotov2', b'retry'))
        self._delay = ui.configwith(float, b'wireprotov2', b'retry.delay')

    @abc.abstractmethod
    def post(self, name: bytes, body: bytes) -> Any:
        """Send a request; return the response, whose content is wire frames.

        ``name`` is the name of a command, or ``multirequest``. The response has
        the methods ``read``, ``close`` (which keeps the connection) and
        ``close_connection``. Raises ``failures.RemoteFailure``.
        """

    @abc.abstractmethod
    def read_some(self, response: Any, size: int) -> bytes:
        """Return up to ``size`` bytes of the content of ``response``.

        Waits for the first byte only; empty at the end of the content. Raises
        ``failures.ConnectionFailure``.
        """

    def connection_lost(self, cause: object) -> failures.ConnectionFailure:
        """Return the failure that reports a connection lost for ``cause``.

        ``cause`` is an exception or a message.
        """
        if isinstance(cause, error.Abort):
            reason = cause.message
        else:
            reason = stringutil.forcebytestr(cause)
        return failures.ConnectionFailure(
            self.url, _(b'connection lost: %s') % reason
        )

    def pause(self, failed: int, cause: failures.ConnectionFailure) -> None:
        """Warn about ``cause``, then wait before the next attempt.

        ``failed`` is the number of attempts that failed so far. The pauses
        double with each of them. They vary at random, so that the clients of a
        server that was away do not all return at the same moment. None is
        shorter than the server wants.
        """
        delay = min(MAX_DELAY, self._delay * 2 ** (failed - 1))
        delay *= random.uniform(0.75, 1.25)
        message = _(b'(%s: %s; trying again in %.1f seconds)\n')
        if cause.wait > delay:
            delay = min(MAX_WAIT, cause.wait) * random.uniform(1, 1.25)
            message = _(
                b'(%s: %s; trying again in %.1f seconds, as the server asks)\n'
            )
        self.ui.warn(message % (self.url, cause.reason, delay))
        time.sleep(delay)
