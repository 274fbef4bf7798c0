# SPDX-License-Identifier: GPL-2.0-or-later
"""The version 2 side of a server that a peer is connected to.

Knows the API the server offered and how to connect to it. Holds no state of an
operation in progress, such as a pull.
"""

from __future__ import annotations

from typing import Any

from . import connections, failures
from .http import HTTPClient
from .offer import OfferedAPI


class Endpoint:
    """What a peer needs to send version 2 commands.

    ``peer`` is a ``httppeer``. ``filters_paths`` says that narrow clones are
    possible with version 2 although version 1 of the server cannot make them.
    """

    def __init__(
        self, peer: Any, api: OfferedAPI, filters_paths: bool = False
    ) -> None:
        #: the API to use; None when the server turned out not to work as
        #: offered
        self.api: OfferedAPI | None = api
        self.filters_paths = filters_paths
        self._ui = peer.ui
        self._path = peer.path
        self._opener = peer._urlopener
        self._requestbuilder = peer._requestbuilder

    def client(self, ask: bool = False) -> HTTPClient:
        """Return a client that uses the connection of the peer.

        With ``ask``, it may ask the user for a login. Use that for what version
        1 cannot do; for the rest, version 1 may not need a login.
        """
        return self._client(self._opener, ask)

    def separate_client(self) -> HTTPClient:
        """Return a client with connections of its own.

        It can be used in another thread, and while a response is being read
        from the peer's connection.
        """
        _url, authinfo = self._path.url.authinfo()
        return self._client(
            connections.another(self._ui, authinfo, self._opener)
        )

    def _client(self, opener: Any, ask: bool = False) -> HTTPClient:
        assert self.api is not None
        return HTTPClient(
            self._ui, opener, self._requestbuilder, self.api.url, ask=ask
        )

    def give_up(self, exc: failures.RemoteFailure) -> None:
        """Use version 1 from now on, and warn that ``exc`` is the reason."""
        self.api = None
        failures.warn_fallback(self._ui, exc)


def endpoint_of(remote: Any) -> Endpoint | None:
    """Return the version 2 side of a peer, or None if it has none."""
    found = getattr(remote, 'endpoint', None)
    return found if isinstance(found, Endpoint) else None
