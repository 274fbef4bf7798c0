# SPDX-License-Identifier: GPL-2.0-or-later
"""The ``hg`` commands of this extension: options and help text only."""

from __future__ import annotations

from mercurial import registrar

cmdtable: dict = {}
command = registrar.command(cmdtable)
