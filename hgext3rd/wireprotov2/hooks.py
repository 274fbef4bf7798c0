# SPDX-License-Identifier: GPL-2.0-or-later
"""Every place where this extension changes Mercurial, each with its reason."""

from __future__ import annotations

from mercurial import extensions, wireprotoserver

from . import server


def uisetup(ui) -> None:
    """Wrap Mercurial once per process."""
    # /api/ and the upgrade handshake live beside the version 1 commands
    extensions.wrapfunction(
        wireprotoserver, 'handlewsgirequest', server.handlewsgirequest
    )
