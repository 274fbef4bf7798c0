# SPDX-License-Identifier: GPL-2.0-or-later
"""hgweb requests to protocol events, protocol bytes to hgweb responses."""

from __future__ import annotations


def handlewsgirequest(orig, rctx, req, res, checkperm) -> bool:
    """Answer requests for /api/, leave all others to ``orig``."""
    return orig(rctx, req, res, checkperm)
