# SPDX-License-Identifier: GPL-2.0-or-later
"""What differs between the Mercurial versions supported."""

from __future__ import annotations

# Modules that are imported when a process is about to serve, and only then.
SERVING_MODULES = (
    'mercurial.hgweb.hgweb_mod_inner',
    'mercurial.hgweb.hgwebdir_mod_inner',
    'mercurial.hgweb.hgweb_mod',  # hg <= 7.1
    'mercurial.hgweb.hgwebdir_mod',  # hg <= 7.1
)
