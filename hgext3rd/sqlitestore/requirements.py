# SPDX-License-Identifier: GPL-2.0-or-later
"""Names of requirements, and the options that decide them.

Imported whenever the extension is loaded: nothing here may import ``sqlite3``,
``zstandard`` or a module that does.
"""

from __future__ import annotations

from typing import Any

from mercurial import error
from mercurial.i18n import _

REQUIREMENT = b'sqlitestore-v2'
COMPRESSION_PREFIX = b'sqlitestore-compression='
COMPRESSIONS = (b'zstd', b'zlib', b'none')
BACKEND = b'sqlite'

# Repositories of the extension that came with Mercurial until 6.9: only good
# for being converted (see ``converting``).
LEGACY_PREFIX = b'exp-sqlite-'
LEGACY_REQUIREMENT = b'exp-sqlite-001'
LEGACY_COMPRESSION_PREFIX = b'exp-sqlite-comp-001='


def compression_requirement(ui: Any) -> bytes:
    """The requirement for the configured compression. Raises Abort."""
    name: bytes = ui.config(b'storage', b'sqlite.compression')
    if name not in COMPRESSIONS:
        raise error.Abort(
            _(b"unknown compression for storage.sqlite.compression: '%s'")
            % name,
            hint=_(b'use one of: %s') % b', '.join(COMPRESSIONS),
        )
    return COMPRESSION_PREFIX + name


def busy_seconds(ui: Any) -> float:
    """How long to wait for a lock of the database. Raises ConfigError."""
    value: bytes = ui.config(b'storage', b'sqlite.busy-timeout')
    try:
        return float(value)
    except ValueError as exc:
        raise error.ConfigError(
            _(b"storage.sqlite.busy-timeout is not a number of seconds ('%s')")
            % value
        ) from exc


def compression_of(requirements: set[bytes]) -> str:
    """The name of the compression a repository's requirements state."""
    for requirement in requirements:
        if requirement.startswith(COMPRESSION_PREFIX):
            return requirement[len(COMPRESSION_PREFIX) :].decode('ascii')
    return 'zstd'
