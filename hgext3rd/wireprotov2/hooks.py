# SPDX-License-Identifier: GPL-2.0-or-later
"""Every place where this extension changes Mercurial, each with its reason."""

from __future__ import annotations

from mercurial import exchange, extensions, httppeer, wireprotoserver

from . import peer, server


def uisetup(ui: object) -> None:
    """Wrap Mercurial once per process."""
    # /api/ and the upgrade handshake live beside the version 1 commands
    extensions.wrapfunction(
        wireprotoserver, 'handlewsgirequest', server.handlewsgirequest
    )
    # the handshake of every HTTP peer asks for version 2 in passing
    extensions.wrapfunction(httppeer, 'performhandshake', peer.performhandshake)
    # only here is the peer made whose class decides what it speaks
    extensions.wrapfunction(httppeer, '_make_peer', peer.make_peer)
    # Mercurial's own hook for extensions that change a getbundle call
    extensions.wrapfunction(
        exchange, '_pullbundle2extraprepare', peer.prepare_getbundle
    )
