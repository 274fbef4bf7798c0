# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests of version 2 over the connection of a peer for ssh.

Version 1 uses the same connection, so a request has it alone until its response
has been read. After a response that was abandoned, or a connection that broke,
the next user of the connection makes a new one. ``proto.tunnel`` knows the bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from mercurial import error
from mercurial.i18n import _

from ..proto import tunnel
from ..proto.errors import ProtocolError
from . import failures, offer
from .transport import MAX_WAIT, Transport


def offered(url: bytes, capability: bytes) -> offer.OfferedAPI | None:
    """Return the API of a server with a capability, None if it is unknown.

    ``url`` is that of the repository.
    """
    known = set(tunnel.VERSIONS).intersection(capability.split(b','))
    if not known:
        return None
    commands = {
        name: {b'args': dict.fromkeys(args)}
        for name, args in tunnel.COMMANDS[max(known)].items()
    }
    return offer.OfferedAPI(tunnel.API, url, commands, framings=())


class SSHLink:
    """The connection of ``peer``, which threads use one after the other.

    ``connect`` returns a new peer for the same repository.
    """

    def __init__(self, peer: Any, connect: Callable[[], Any]) -> None:
        self.ui = peer.ui
        self.url = peer.url()
        self._peer = peer
        self._connect = connect
        self._lock = threading.Lock()
        self._broken = False

    def another(self) -> SSHLink:
        """Return a connection of its own to the same repository."""
        return SSHLink(self._connect(), self._connect)

    def close(self) -> None:
        """End the connection."""
        self._peer.close()

    def prepare(self) -> None:
        """Wait until the connection is free, for a command of version 1.

        Renew it if it broke.
        """
        with self._lock:
            self._renew()

    def _renew(self) -> None:
        """Replace a broken connection. Raises an exception of Mercurial."""
        if not self._broken:
            return
        peer = self._peer
        peer._cleanup()
        new = self._connect()
        for name in ('_subprocess', '_pipeo', '_pipei', '_pipee', '_caps'):
            setattr(peer, name, getattr(new, name))
        # What is left of the other must not close the connection.
        new._pipeo = new._pipei = new._pipee = None
        self._broken = False

    def request(self, body: bytes) -> SSHResponse:
        """Send a request when the connection is free.

        It is free again when the response has been closed. Raises what a
        connection that breaks raises: ``OSError``, or an exception of
        Mercurial.
        """
        self._lock.acquire()
        try:
            self._renew()
            try:
                pipe = self._peer.send_version2(body)
            except BaseException:
                self._broken = True
                raise
        except BaseException:
            self._lock.release()
            raise
        return SSHResponse(self, pipe)

    def release(self, broken: bool) -> None:
        """Let others have the connection."""
        self._broken = self._broken or broken
        self._lock.release()


class SSHResponse:
    """A response, which has ``link`` until it is closed.

    The methods raise ``OSError`` and ``ProtocolError``.
    """

    def __init__(self, link: SSHLink, pipe: Any) -> None:
        self._link: SSHLink | None = link
        self._pipe = pipe
        self._reader = tunnel.AnswerReader()
        self._content: list[bytes] = []

    def outcome(self) -> tuple[tunnel.TunnelOutcome, bytes]:
        """Return what the first line says, as ``AnswerReader`` has it."""
        while self._reader.outcome is None:
            self._fill(tunnel.MAX_LINE)
        return self._reader.outcome, self._reader.detail

    def read(self, size: int) -> bytes:
        """Return at least one byte, and up to about ``size``.

        Nothing at the end of the response.
        """
        while not self._content and not self._reader.done:
            self._fill(size)
        found = b''.join(self._content)
        self._content.clear()
        return found

    def _fill(self, size: int) -> None:
        data = self._pipe.unbufferedread(size)
        if not data:
            raise EOFError
        self._content += self._reader.feed(data)

    def close(self) -> None:
        """Let others have the connection. The response has been read."""
        link, self._link = self._link, None
        if link is not None:
            link.release(broken=not self._reader.done)

    # What was read to its end leaves the connection in order.
    close_connection = close


class SSHClient(Transport):
    """Sends requests over ``link``."""

    def __init__(self, link: SSHLink) -> None:
        super().__init__(link.ui, link.url)
        self._link = link

    def post(self, name: bytes, body: bytes) -> SSHResponse:
        try:
            response = self._link.request(body)
        except (OSError, ValueError, error.Error, error.RepoError) as exc:
            raise self.connection_lost(exc) from exc
        try:
            outcome, detail = response.outcome()
        except BaseException as exc:
            response.close_connection()
            if isinstance(exc, ProtocolError):
                raise failures.RemoteFailure(self.url, exc.message) from exc
            if isinstance(exc, (OSError, ValueError, EOFError)):
                raise self._broken_off(exc) from exc
            raise
        if outcome is tunnel.TunnelOutcome.ANSWERED:
            return response
        response.close()
        if outcome is tunnel.TunnelOutcome.BUSY:
            wait = float(detail) if detail.isdigit() else 0.0
            raise failures.Busy(
                self.url, _(b'the server is busy'), min(wait, MAX_WAIT)
            )
        raise failures.RemoteFailure(self.url, detail)

    def read_some(self, response: Any, size: int) -> bytes:
        try:
            data: bytes = response.read(size)
        except (OSError, ValueError, EOFError) as exc:
            raise self._broken_off(exc) from exc
        return data

    def _broken_off(self, cause: BaseException) -> failures.ConnectionFailure:
        """Return the failure for a response that ended too early."""
        if isinstance(cause, EOFError):
            return self.connection_lost(_(b'the response is incomplete'))
        return self.connection_lost(cause)
