# SPDX-License-Identifier: GPL-2.0-or-later
"""Names that this extension writes into repositories to mark their state."""

from __future__ import annotations

#: The requirement of a repository of limited depth: file revisions may lack
#: their data, see ``shallow.storage``.
SHALLOW = b'wireprotov2-shallow'

#: A file in ``.hg`` that exists while a clone is unfinished, see
#: ``pull.resume``.
UNFINISHED = b'wireprotov2-unfinished'
