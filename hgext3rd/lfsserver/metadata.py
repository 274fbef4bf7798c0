# SPDX-License-Identifier: GPL-2.0-or-later
"""What Mercurial and setup.py need to know about this release; no imports."""

from __future__ import annotations

__version__ = b'1.0.0.dev0'

testedwith = b'7.0 7.1 7.2'
minimumhgversion = b'7.0'
