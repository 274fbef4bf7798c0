# SPDX-License-Identifier: GPL-2.0-or-later
"""The data of file revisions that arrived after the revisions themselves.

Each is a compressed file named after the node, below ``.hg/store/shallow``.
Nothing here knows how a repository stores its other revisions.
"""

from __future__ import annotations

import os
from typing import Any

import zstandard
from mercurial.node import hex

#: The folder of these files, relative to the store.
FOLDER = b'shallow'


def _place(node: bytes) -> bytes:
    """Return the path of a revision's data, relative to the store."""
    name = hex(node)
    return b'%s/%s/%s' % (FOLDER, name[:2], name[2:])


def has_text(repo: Any, node: bytes) -> bool:
    """Return whether the data of a file revision has arrived later."""
    return bool(repo.svfs.exists(_place(node)))


def read_text(repo: Any, node: bytes) -> bytes | None:
    """Return data that arrived later, unverified, or None."""
    data = repo.svfs.tryread(_place(node))
    if not data:
        return None
    try:
        text: bytes = zstandard.ZstdDecompressor().decompress(data)
    except zstandard.ZstdError:
        # The file is damaged, perhaps cut short by a power loss. It counts as
        # missing, so the data can be fetched again.
        return None
    return text


def write_text(repo: Any, storage: Any, rev: int, text: bytes) -> None:
    """Keep ``text``, the data of the revision ``rev`` of ``storage``.

    Raises ``StorageError`` if the data does not match the node.
    """
    node = storage.node(rev)
    storage.checkhash(text, node, rev=rev)
    place = _place(node)
    repo.svfs.makedirs(os.path.dirname(place))
    with repo.svfs(place, b'wb', atomictemp=True) as stream:
        stream.write(zstandard.ZstdCompressor(level=6).compress(text))
