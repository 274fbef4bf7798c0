# SPDX-License-Identifier: GPL-2.0-or-later
"""Names of repository requirements, and the options that choose them.

Imported whenever the extension is loaded, so nothing here may import
``sqlite3``, ``zstandard`` or a module that does. Knows nothing of the database.
"""

from __future__ import annotations

from typing import Any

from mercurial import error
from mercurial.i18n import _

# The file history is in SQLite. docs/sqlite-format.rst specifies the format.
REQUIREMENT = b'sqlitestore-v3'

# Followed by one of COMPRESSIONS: how new data in the database is compressed.
COMPRESSION_PREFIX = b'sqlitestore-compression='
COMPRESSIONS = (b'zstd', b'zlib', b'none')

# The value of ``storage.new-repo-backend`` that selects this extension.
BACKEND = b'sqlite'

# Requirements of the extension that came with Mercurial until 6.9. Such
# repositories can only be converted (see ``converting``).
LEGACY_PREFIX = b'exp-sqlite-'
LEGACY_REQUIREMENT = b'exp-sqlite-001'
LEGACY_COMPRESSION_PREFIX = b'exp-sqlite-comp-001='

# Mercurial's experimental file index, a list of the revlogs in the store.
# Mercurial 7.0 has no constant for it.
FILE_INDEX = b'fileindex-v1'


def uses_sqlite(repo: Any) -> bool:
    """Return whether a repository keeps its file history in SQLite."""
    return REQUIREMENT in repo.requirements


def is_current(requirement: bytes) -> bool:
    """Return whether a requirement belongs to this extension's format."""
    return requirement == REQUIREMENT or requirement.startswith(
        COMPRESSION_PREFIX
    )


def compression_requirement(ui: Any) -> bytes:
    """Return the requirement for the configured compression.

    Raises Abort if ``storage.sqlite.compression`` has an unknown value.
    """
    name: bytes = ui.config(b'storage', b'sqlite.compression')
    if name not in COMPRESSIONS:
        raise error.Abort(
            _(b"unknown compression for storage.sqlite.compression: '%s'")
            % name,
            hint=_(b'use one of: %s') % b', '.join(COMPRESSIONS),
        )
    return COMPRESSION_PREFIX + name


def busy_seconds(ui: Any) -> float:
    """Return how many seconds to wait for a lock of the database.

    Raises ConfigError if ``storage.sqlite.busy-timeout`` is not a number.
    """
    value: bytes = ui.config(b'storage', b'sqlite.busy-timeout')
    try:
        return float(value)
    except ValueError as exc:
        raise error.ConfigError(
            _(b"storage.sqlite.busy-timeout is not a number of seconds ('%s')")
            % value
        ) from exc


def keeps_log(ui: Any) -> bool:
    """Return whether the write-ahead log stays when nobody uses the database."""
    return bool(ui.configbool(b'storage', b'sqlite.keep-wal'))


def compression_of(requirements: set[bytes]) -> str:
    """Return the name of the compression that a repository requires."""
    for requirement in requirements:
        if requirement.startswith(COMPRESSION_PREFIX):
            return requirement[len(COMPRESSION_PREFIX) :].decode('ascii')
    return COMPRESSIONS[0].decode('ascii')
