# SPDX-License-Identifier: GPL-2.0-or-later
"""The version 2 side of a server that a peer is connected to.

Knows the API the server offered and how to connect to it. Holds no state of an
operation in progress, such as a pull.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any

from ..proto.errors import ProtocolError
from . import connections, exchange, failures, offer, redirects, ssh
from .http import HTTPClient
from .offer import OfferedAPI, OfferedTarget
from .transport import Transport


class Endpoint(abc.ABC):
    """What a peer needs to send version 2 commands.

    ``filters_paths`` says that narrow clones are possible with version 2
    although version 1 of the server cannot make them.
    """

    #: Whether version 2 answers only what version 1 cannot, besides segments.
    prefers_version1 = False

    def __init__(
        self, ui: Any, api: OfferedAPI, filters_paths: bool = False
    ) -> None:
        #: the API to use; None when the server turned out not to work as
        #: offered
        self.api: OfferedAPI | None = api
        self.filters_paths = filters_paths
        self._ui = ui

    @abc.abstractmethod
    def client(self, ask: bool = False) -> Transport:
        """Return a client that uses the connection of the peer.

        With ``ask``, it may ask the user for a login. Use that for what version
        1 cannot do; for the rest, version 1 may not need a login.
        """

    @abc.abstractmethod
    def separate_client(self) -> Transport:
        """Return a client that can be used in another thread.

        It may wait until nobody else reads a response.
        """

    @abc.abstractmethod
    def parallel_client(self) -> Transport:
        """Return a client that can be used while responses are being read.

        It has a connection of its own until ``close``.
        """

    @abc.abstractmethod
    def describe(self) -> None:
        """Make ``api`` say all that the server says of it.

        Raises ``failures.RemoteFailure``.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """End the connections of parallel clients."""

    @abc.abstractmethod
    def targets(self) -> Sequence[OfferedTarget]:
        """Return the places to which the server may redirect this client.

        Raises ``failures.RemoteFailure``.
        """

    def give_up(self, exc: failures.RemoteFailure) -> None:
        """Use version 1 from now on, and warn that ``exc`` is the reason."""
        self.api = None
        failures.warn_fallback(self._ui, exc)


class HTTPEndpoint(Endpoint):
    """The version 2 side of a ``httppeer``."""

    def __init__(
        self, peer: Any, api: OfferedAPI, filters_paths: bool = False
    ) -> None:
        super().__init__(peer.ui, api, filters_paths)
        self._path = peer.path
        self._opener = peer._urlopener
        self._requestbuilder = peer._requestbuilder

    def client(self, ask: bool = False) -> Transport:
        return self._client(self._opener, ask)

    def separate_client(self) -> Transport:
        _url, authinfo = self._path.url.authinfo()
        return self._client(
            connections.another(self._ui, authinfo, self._opener)
        )

    parallel_client = separate_client

    def describe(self) -> None:
        # The handshake has done so.
        pass

    def close(self) -> None:
        # Mercurial keeps them for other peers.
        pass

    def _client(self, opener: Any, ask: bool = False) -> Transport:
        assert self.api is not None
        return HTTPClient(
            self._ui, opener, self._requestbuilder, self.api.url, ask=ask
        )

    def targets(self) -> Sequence[OfferedTarget]:
        assert self.api is not None
        secure = self.api.url.startswith(b'https:')
        return redirects.acceptable(self.api, secure)


class SSHEndpoint(Endpoint):
    """The version 2 side of a ``sshv1peer``.

    All clients share the connection of the peer, since another one may ask the
    user for a password again. Each of them has it for one request at a time.
    """

    prefers_version1 = True

    def __init__(
        self, link: ssh.SSHLink, api: OfferedAPI, filters_paths: bool = False
    ) -> None:
        super().__init__(link.ui, api, filters_paths)
        #: the connection
        self.link = link
        self._described = False
        self._parallel: list[ssh.SSHLink] = []

    def client(self, ask: bool = False) -> Transport:
        return ssh.SSHClient(self.link)

    def separate_client(self) -> Transport:
        return self.client()

    def parallel_client(self) -> Transport:
        link = self.link.another()
        self._parallel.append(link)
        return ssh.SSHClient(link)

    def close(self) -> None:
        while self._parallel:
            self._parallel.pop().close()

    def describe(self) -> None:
        # The capability of version 1 has no room for it.
        if self._described or self.api is None:
            return
        client = self.client()
        try:
            (described,) = exchange.call(client, b'capabilities', {})
            api = offer.parse(self.api.name, self.api.url, described)
        except (ValueError, ProtocolError) as exc:
            raise failures.RemoteFailure(
                client.url, b'malformed response: %s' % str(exc).encode()
            ) from exc
        # Not all commands of the API are answered over ssh.
        commands = {
            name: api.commands[name]
            for name in self.api.commands
            if name in api.commands
        }
        self.api = dataclasses.replace(api, commands=commands)
        self._described = True

    def targets(self) -> Sequence[OfferedTarget]:
        self.describe()
        assert self.api is not None
        # As for clone bundles over ssh, the operator chooses the scheme.
        # What arrives is compared with digests from the server.
        return redirects.acceptable(self.api, secure=False)


def endpoint_of(remote: Any) -> Endpoint | None:
    """Return the version 2 side of a peer, or None if it has none."""
    found = getattr(remote, 'endpoint', None)
    return found if isinstance(found, Endpoint) else None
