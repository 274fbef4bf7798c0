# SPDX-License-Identifier: GPL-2.0-or-later
"""The names of blobs.

An object identifier (``oid``) is the SHA-256 of the content as 64 lower-case
hexadecimal digits. Source: docs/spec.md of the git-lfs project. This module
knows neither HTTP nor a store.
"""

from __future__ import annotations

import re

_OID = re.compile(r'[0-9a-f]{64}\Z')


def is_oid(text: str) -> bool:
    """Return whether ``text`` has the form of an object identifier."""
    return _OID.match(text) is not None
