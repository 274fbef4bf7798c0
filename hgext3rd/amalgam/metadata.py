# SPDX-License-Identifier: GPL-2.0-or-later
"""The version facts that Mercurial, setup.py and the documentation read.

Imports nothing: setup.py reads this file where Mercurial is not installed.
"""

from __future__ import annotations

__version__ = b'1.0.0.dev0'

# Mercurial shows these two in "hg version -v" and when an extension fails.
testedwith = b'7.0 7.1 7.2'
buglink = b'https://foss.heptapod.net/mercurial/hg-amalgam/-/issues'

minimumhgversion = b'7.0'
