# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes wrong with packs."""

from __future__ import annotations


class PackError(ValueError):
    """The bytes are not a pack of a known version, or they are damaged."""
