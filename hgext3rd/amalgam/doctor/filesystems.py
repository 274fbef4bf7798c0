# SPDX-License-Identifier: GPL-2.0-or-later
"""The file systems that folders are on, and how much space they have left.

The kind of a file system is read from Linux' list of mounts; elsewhere Mercurial
tells it. Nothing here knows what is in the folders.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from mercurial import util
from mercurial.i18n import _

from .findings import Finding, problem, warning

#: Linux' list of mounts, specified in proc(5).
MOUNTS = '/proc/self/mountinfo'

#: File systems of other machines, on which processes cannot share memory.
NETWORK = frozenset(
    (
        b'9p',
        b'afs',
        b'beegfs',
        b'ceph',
        b'cifs',
        b'fuse.glusterfs',
        b'fuse.s3fs',
        b'fuse.sshfs',
        b'gfs2',
        b'glusterfs',
        b'lustre',
        b'ncpfs',
        b'nfs',
        b'nfs4',
        b'ocfs2',
        b'smb2',
        b'smb3',
        b'smbfs',
    )
)

#: File systems in memory.
VOLATILE = frozenset((b'tmpfs', b'ramfs'))

#: File systems of containers, which are gone with the container.
LAYERED = frozenset((b'overlay', b'overlayfs', b'aufs'))

# Shares and bytes of free space, and shares of free inodes, below which there is
# a warning or a problem. A large disk is not nearly full when 5% are free.
FEW = 0.05
FEW_BYTES = 5 << 30
NEARLY_NONE = 0.01
NEARLY_NONE_BYTES = 256 << 20


def parse_mounts(text: bytes) -> dict[bytes, bytes]:
    """Return the kind of the file system of each mount point.

    ``text`` is the content of ``MOUNTS``. The last mount of a point counts.
    """
    found = {}
    for line in text.splitlines():
        fields, separator, rest = line.partition(b' - ')
        parts = fields.split()
        if separator and len(parts) > 4 and rest:
            point = re.sub(
                rb'\\([0-7]{3})',
                lambda escape: bytes([int(escape[1], 8)]),
                parts[4],
            )
            found[point] = rest.split()[0]
    return found


def kind_of(path: bytes) -> bytes:
    """Return the kind of the file system that ``path`` is on; b'' if unknown.

    If ``path`` does not exist, its nearest parent that does is looked at.
    """
    path = os.path.realpath(path)
    while not os.path.exists(path) and path != b'/':
        path = os.path.dirname(path)
    try:
        with open(MOUNTS, 'rb') as file:
            mounts = parse_mounts(file.read())
    except OSError:
        return util.getfstype(path) or b''
    while True:
        if path in mounts:
            return mounts[path]
        if path in (b'/', b''):
            return b''
        path = os.path.dirname(path)


def judge_sharing(path: bytes, what: bytes) -> Iterator[Finding]:
    """Yield what is wrong if processes share memory by ``what``, at ``path``."""
    kind = kind_of(path)
    if kind in NETWORK:
        yield problem(
            _(b'%s is on a network file system (%s): %s') % (what, kind, path),
            _(b'move it to a local disk; several machines need a replica each'),
        )


def judge_lasting(path: bytes, what: bytes) -> Iterator[Finding]:
    """Yield what is wrong if ``what``, at ``path``, has to survive a restart."""
    kind = kind_of(path)
    if kind in VOLATILE:
        yield problem(
            _(b'%s is in memory (%s) and lost on a restart: %s')
            % (what, kind, path),
            _(b'move it to a disk'),
        )
    elif kind in LAYERED:
        yield warning(
            _(b'%s is in the layer of a container (%s): %s')
            % (what, kind, path),
            _(b'put it on a volume, or it is lost with the container'),
        )


def judge_space(path: bytes) -> Iterator[Finding]:
    """Yield what is wrong with the free space of the file system of ``path``."""
    try:
        state = os.statvfs(path)
    except OSError:
        return
    free = state.f_bavail * state.f_frsize
    share = state.f_bavail / max(state.f_blocks, 1)
    told = _(b'%s free (%d%%) on the file system of %s') % (
        util.bytecount(free),
        share * 100,
        path,
    )
    advice = _(b'free space there, or move the folder to a larger disk')
    if share < NEARLY_NONE and free < NEARLY_NONE_BYTES:
        yield problem(told, advice)
    elif share < FEW and free < FEW_BYTES:
        yield warning(told, advice)
    if state.f_files:
        left = state.f_favail / state.f_files
        if left < FEW:
            yield (problem if left < NEARLY_NONE else warning)(
                _(b'%d inodes free (%d%%) on the file system of %s')
                % (state.f_favail, left * 100, path),
                _(b'remove small files there, or make a file system with more'),
            )


def judge_room(path: bytes, needed: int, purpose: bytes) -> Iterator[Finding]:
    """Yield whether there is room for the ``needed`` bytes of ``purpose``."""
    try:
        state = os.statvfs(path)
    except OSError:
        return
    free = state.f_bavail * state.f_frsize
    if free < needed:
        yield warning(
            _(b'%s free, less than the %s that %s takes')
            % (util.bytecount(free), util.bytecount(needed), purpose),
            _(b'free space there, or move the folder to a larger disk'),
        )
