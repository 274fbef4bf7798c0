# SPDX-License-Identifier: GPL-2.0-or-later
"""The peers that speak versions 1 and 2 to the same server.

They are Mercurial's own peers for HTTP and ssh. The handshake has found out what
the server can do in both versions. Over HTTP, only ``getbundle`` and
``narrow_widen`` use version 2, and only where its commands suffice. Everything
else uses version 1. ``pull.session`` keeps the state of a pull in progress, which
fetches segments with version 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mercurial import error, httppeer, pycompat, sshpeer, wireprototypes
from mercurial.i18n import _

from .client import failures, ssh
from .client.endpoint import HTTPEndpoint, SSHEndpoint
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
        filters_paths = False
        if NARROW not in peer._caps and abilities.can_filter_paths(api):
            # The narrow extension asks for this capability before it pulls.
            peer._caps.add(NARROW)
            filters_paths = True
        peer.__class__ = HybridPeer
        peer.endpoint = HTTPEndpoint(peer, api, filters_paths)
        ui.debug(b'(%s is available)\n' % api.name)
    return peer


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
        link = ssh.SSHLink(peer, lambda: orig(ui, path, False))
        peer.__class__ = SSHHybridPeer
        peer.endpoint = SSHEndpoint(link, api)
        ui.debug(b'(%s is available)\n' % api.name)
    return peer


def needs_version2(args: Mapping[bytes, Any]) -> bool:
    """Return whether version 1 cannot answer a ``getbundle`` with ``args``.

    Narrow requests get here only if the server lacks the narrow extension.
    """
    return bool(args.get(b'narrow')) or args.get(b'depth') is not None


class HybridPeer(httppeer.httppeer):
    """An HTTP peer with a version 2 ``endpoint`` beside version 1."""

    endpoint: HTTPEndpoint

    def getbundle(self, source: bytes, **kwargs: Any) -> Any:
        args = pycompat.byteskwargs(kwargs)
        endpoint = self.endpoint
        api = endpoint.api
        if api is None or not abilities.can_pull(endpoint, self, args):
            self._refuse_narrow(args)
            if kwargs.get('depth') == 0:
                # A lazy repository also takes data that it does not need.
                del kwargs['depth']
            return super().getbundle(source, **kwargs)

        def obsmarkers() -> Any:
            names = ('bundlecaps', 'common', 'heads', 'obsmarkers')
            wanted = {name: kwargs.get(name) for name in names}
            return httppeer.httppeer.getbundle(self, source, cg=False, **wanted)

        try:
            return getbundle(
                self.ui,
                endpoint.client(ask=needs_version2(args)),
                api,
                args,
                obsmarkers,
            )
        except failures.RemoteFailure as exc:
            if needs_version2(args) or isinstance(exc, failures.Busy):
                raise
            endpoint.give_up(exc)
            return super().getbundle(source, **kwargs)

    def narrow_widen(self, **kwargs: Any) -> Any:
        endpoint = self.endpoint
        if endpoint.filters_paths and endpoint.api is not None:
            return widen.widen(
                self.ui, endpoint.client(ask=True), endpoint.api, kwargs
            )
        self._refuse_narrow({b'narrow': True})
        return super().narrow_widen(**kwargs)

    def _refuse_narrow(self, kwargs: Mapping[bytes, Any]) -> None:
        """Raise ``Abort`` for a narrow request that needs version 2."""
        if self.endpoint.filters_paths and kwargs.get(b'narrow'):
            raise error.Abort(
                _(b'the server cannot limit this request to some files'),
                hint=_(b'this requires the narrow extension on the server'),
            )


class SSHHybridPeer(sshpeer.sshv1peer):
    """A peer over ssh with a version 2 ``endpoint`` on the same connection."""

    endpoint: SSHEndpoint

    def _sendrequest(self, *args: Any, **kwargs: Any) -> Any:
        self.endpoint.link.prepare()
        return super()._sendrequest(*args, **kwargs)

    def send_version2(self, body: bytes) -> Any:
        """Send a request of version 2; return the pipe with the answer."""
        return super()._sendrequest(tunnel.COMMAND, {tunnel.ARGUMENT: body})
