# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be seen of a database from outside, without opening it.

Opening it would create files beside it, and change what is to be seen. The sources
are the header of the file (https://www.sqlite.org/fileformat.html), the side files,
and Linux' list of file locks (proc(5), ``/proc/locks``), in which the locks of
SQLite have fixed places (https://www.sqlite.org/walformat.html, "WAL locks").
"""

from __future__ import annotations

import os
from typing import NamedTuple

from ...amalgam import sidefiles

LOCKS = '/proc/locks'

_MAGIC = b'SQLite format 3\0'

# The byte of the header that says which journal mode writers use.
_WRITE_VERSION = 18
_WAL = 2

# Bytes of the -shm file. Every connection holds a lock on the first as long as it
# is open, and on one of the others while it reads.
_OPEN = 128
_READERS = range(123, 128)


class Lock(NamedTuple):
    """A lock of a process on the bytes ``first`` to ``last`` of a file."""

    process: int
    inode: int
    first: int
    last: int


def parse_locks(text: bytes) -> list[Lock]:
    """Return the locks in ``text``, the content of ``LOCKS``.

    Processes that wait for a lock are left out, and so are locks of whole files.
    """
    found = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) != 8 or fields[1] != b'POSIX':
            continue
        try:
            inode = int(fields[5].rpartition(b':')[2])
            end = fields[7]
            last = (1 << 63) if end == b'EOF' else int(end)
            found.append(Lock(int(fields[4]), inode, int(fields[6]), last))
        except ValueError:
            continue
    return found


class Health(NamedTuple):
    """The state of a database.

    ``wal`` says whether it is in WAL mode; ``log`` and ``shared`` are the sizes of
    the side files, None without one. ``journal`` says whether there is a rollback
    journal that has content. ``users`` are the processes that have the database
    open, ``readers`` those that read now; both are None if the system does not
    tell. This process is in neither.
    """

    size: int
    database: bool
    wal: bool
    log: int | None
    shared: int | None
    journal: bool
    users: frozenset[int] | None
    readers: frozenset[int] | None


def look(path: bytes) -> Health:
    """Return the state of the database at ``path``. Raises OSError."""
    with open(path, 'rb') as file:
        header = file.read(100)
    shared = sidefiles.beside(path, sidefiles.SHARED)
    users = readers = None
    try:
        with open(LOCKS, 'rb') as file:
            locks = parse_locks(file.read())
    except OSError:
        pass
    else:
        try:
            inode = os.stat(shared).st_ino
        except OSError:
            inode = -1
        mine = os.getpid()
        held = [k for k in locks if k.inode == inode and k.process != mine]
        users = frozenset(k.process for k in held if k.first <= _OPEN <= k.last)
        readers = frozenset(k.process for k in held if k.first in _READERS)
    return Health(
        os.stat(path).st_size,
        header.startswith(_MAGIC),
        header[_WRITE_VERSION : _WRITE_VERSION + 1] == bytes([_WAL]),
        _size(sidefiles.beside(path, sidefiles.LOG)),
        _size(shared),
        bool(_size(sidefiles.beside(path, sidefiles.JOURNAL))),
        users,
        readers,
    )


def _size(path: bytes) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:
        return None
