# SPDX-License-Identifier: GPL-2.0-or-later
"""Differences between the supported versions of Mercurial.

Every difference is one name here; callers never look at a version. Each
fallback is tagged with the last version that needs it.
"""

from __future__ import annotations
