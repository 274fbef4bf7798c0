# SPDX-License-Identifier: GPL-2.0-or-later
"""The peers that speak versions 1 and 2 to the same server.

They are Mercurial's own peers for HTTP and ssh. The handshake has found out what
the server can do in both versions. Only ``getbundle`` and ``narrow_widen`` use
version 2, and only where its commands suffice; over ssh, only where version 1
does not. Everything else uses version 1. ``pull.session`` keeps the state of a
pull in progress, which fetches segments with version 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mercurial import error, httppeer, pycompat, sshpeer, wireprototypes
from mercurial.i18n import _

from .client import failures, ssh
from .client.endpoint import Endpoint, HTTPEndpoint, SSHEndpoint
from .client.offer import OfferedAPI
from .proto import tunnel
from .pull import abilities, widen
from .pull.getbundle import getbundle

NARROW = wireprototypes.NARROWCAP


def make_http_peer(orig: Any, ui: Any, *args: Any, **kwargs: Any) -> Any:
    """Make a peer with ``httppeer._make_peer``; add version 2 if offered."""
    peer = orig(ui, *args, **kwargs)
    api = getattr(peer._caps, 'api', None)
    # Version 2 has no access to hidden changesets.
    if api is not None and not peer._remotehidden:
        filters_paths = _filters_paths(peer, api)
        peer.__class__ = HybridPeer
        peer.endpoint = HTTPEndpoint(peer, api, filters_paths)
        ui.debug(b'(%s is available)\n' % api.name)
    return peer


def _filters_paths(peer: Any, api: OfferedAPI) -> bool:
    """Return whether narrow clones need version 2, and let them begin."""
    if NARROW in peer._caps or not abilities.can_filter_paths(api):
        return False
    # The narrow extension asks for this capability before it pulls.
    peer._caps.add(NARROW)
    return True


def make_ssh_peer(
    orig: Any, ui: Any, path: Any, *args: Any, **kwargs: Any
) -> Any:
    """Make a peer with ``sshpeer.make_peer``; add version 2 if offered."""
    peer = orig(ui, path, *args, **kwargs)
    capability = peer.capable(tunnel.CAPABILITY)
    if (
        not isinstance(capability, bytes)
        # Version 2 has no access to hidden changesets.
        or peer._remotehidden
        or not ui.configbool(b'wireprotov2', b'client')
    ):
        return peer
    api = ssh.offered(peer.url(), capability)
    if api is not None:

        def connect() -> Any:
            new = orig(ui, path, False)
            new.__class__ = SSHHybridPeer
            return new

        link = ssh.SSHLink(peer, connect)
        filters_paths = _filters_paths(peer, api)
        peer.__class__ = SSHHybridPeer
        peer.endpoint = SSHEndpoint(link, api, filters_paths)
        ui.debug(b'(%s is available)\n' % api.name)
    return peer


def _getbundle(
    peer: Any, version1: Callable[..., Any], source: bytes, kwargs: Any
) -> Any:
    """Answer ``getbundle`` of ``peer``; ``version1`` is its own method."""
    args = pycompat.byteskwargs(kwargs)
    endpoint: Endpoint = peer.endpoint
    api = endpoint.api
    if api is None or not abilities.can_pull(endpoint, peer, args):
        _refuse_narrow(endpoint, args)
        if kwargs.get('depth') == 0:
            # A lazy repository also takes data that it does not need.
            del kwargs['depth']
        return version1(source, **kwargs)

    def obsmarkers() -> Any:
        names = ('bundlecaps', 'common', 'heads', 'obsmarkers')
        wanted = {name: kwargs.get(name) for name in names}
        return version1(source, cg=False, **wanted)

    needed = abilities.needs_version2(args)
    try:
        client = endpoint.client(ask=needed)
        return getbundle(peer.ui, client, api, args, obsmarkers)
    except failures.RemoteFailure as exc:
        if needed or isinstance(exc, failures.Busy):
            raise
        endpoint.give_up(exc)
        return version1(source, **kwargs)


def _narrow_widen(
    peer: Any, version1: Callable[..., Any], kwargs: dict[str, Any]
) -> Any:
    """Answer ``narrow_widen`` of ``peer``; ``version1`` is its own method."""
    endpoint: Endpoint = peer.endpoint
    if endpoint.filters_paths and endpoint.api is not None:
        return widen.widen(
            peer.ui, endpoint.client(ask=True), endpoint.api, kwargs
        )
    _refuse_narrow(endpoint, {b'narrow': True})
    return version1(**kwargs)


def _refuse_narrow(endpoint: Endpoint, kwargs: Mapping[bytes, Any]) -> None:
    """Raise ``Abort`` for a narrow request that needs version 2."""
    if endpoint.filters_paths and kwargs.get(b'narrow'):
        raise error.Abort(
            _(b'the server cannot limit this request to some files'),
            hint=_(b'this requires the narrow extension on the server'),
        )


class HybridPeer(httppeer.httppeer):
    """An HTTP peer with a version 2 ``endpoint`` beside version 1."""

    endpoint: HTTPEndpoint

    def getbundle(self, source: bytes, **kwargs: Any) -> Any:
        return _getbundle(self, super().getbundle, source, kwargs)

    def narrow_widen(self, **kwargs: Any) -> Any:
        return _narrow_widen(self, super().narrow_widen, kwargs)


class SSHHybridPeer(sshpeer.sshv1peer):
    """A peer over ssh with a version 2 ``endpoint`` on the same connection."""

    endpoint: SSHEndpoint

    def getbundle(self, source: bytes, **kwargs: Any) -> Any:
        return _getbundle(self, super().getbundle, source, kwargs)

    def narrow_widen(self, **kwargs: Any) -> Any:
        return _narrow_widen(self, super().narrow_widen, kwargs)

    def _sendrequest(self, *args: Any, **kwargs: Any) -> Any:
        self.endpoint.link.prepare()
        return super()._sendrequest(*args, **kwargs)

    def send_version2(self, body: bytes) -> Any:
        """Send a request of version 2; return the pipe with the answer."""
        return super()._sendrequest(tunnel.COMMAND, {tunnel.ARGUMENT: body})
