# SPDX-License-Identifier: GPL-2.0-or-later
"""The version 2 side of a server that a peer is connected to.

Knows the API the server offered and how to connect to it. Holds no state of an
operation in progress, such as a pull.
"""

from __future__ import annotations

import abc
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

        It can also be used while a response is being read from the peer's
        connection, if it has a connection of its own. Only those over ssh have
        none.
        """

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

    def __init__(self, link: ssh.SSHLink, api: OfferedAPI) -> None:
        super().__init__(link.ui, api)
        #: the connection
        self.link = link
        self._targets: Sequence[OfferedTarget] | None = None

    def client(self, ask: bool = False) -> Transport:
        return ssh.SSHClient(self.link)

    def separate_client(self) -> Transport:
        return self.client()

    def targets(self) -> Sequence[OfferedTarget]:
        # The capability of version 1 does not name them.
        if self._targets is None:
            assert self.api is not None
            client = self.client()
            try:
                (described,) = exchange.call(client, b'capabilities', {})
                api = offer.parse(self.api.name, self.api.url, described)
            except (ValueError, ProtocolError) as exc:
                raise failures.RemoteFailure(
                    client.url, b'malformed response: %s' % str(exc).encode()
                ) from exc
            # As for clone bundles over ssh, the operator chooses the scheme.
            # What arrives is compared with digests from the server.
            self._targets = redirects.acceptable(api, secure=False)
        return self._targets


def endpoint_of(remote: Any) -> Endpoint | None:
    """Return the version 2 side of a peer, or None if it has none."""
    found = getattr(remote, 'endpoint', None)
    return found if isinstance(found, Endpoint) else None
