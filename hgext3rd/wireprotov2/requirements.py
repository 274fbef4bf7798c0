# SPDX-License-Identifier: GPL-2.0-or-later
"""Requirements of repositories that this extension made."""

from __future__ import annotations

#: files may be missing, see ``shallow``
SHALLOW = b'wireprotov2-shallow'
