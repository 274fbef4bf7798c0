# SPDX-License-Identifier: GPL-2.0-or-later
"""Find a revision, usually of another file, with the same or a similar text.

A copy has no first parent in its own file. Without these functions the first
revision of each copy would be stored as a full text.
"""

from __future__ import annotations

from mercurial.node import nullrev
from mercurial.revlogutils import constants
from mercurial.utils import storageutil

from .. import compat
from ..formats import index, schema
from ..reading.fileindex import FileIndex
from ..reading.store import Store

# Bytes of the smallest text that is found by its content. The same file under
# another path is then stored as an empty delta. For smaller texts, the row in
# the table of contents takes more than it saves.
CONTENT_SIZE = 16 << 10


def same_content(
    store: Store, own: FileIndex, digest: int, size: int
) -> tuple[FileIndex, int] | None:
    """Return a revision whose text probably has this digest and this size.

    ``own`` is the index of the file that is being written, which may be ahead
    of the database. The caller must compare the texts.
    """
    gid = store.find_content(digest)
    if gid is None:
        return None
    path_id, rev = schema.split_id(gid)
    idx = own if path_id == own.path_id else store.index_of(path_id)
    if rev >= len(idx) or idx.rawsize(rev) != size:
        return None
    return idx, rev


def metadata(text: bytes) -> dict[bytes, bytes]:
    """Return the metadata that a text of a file begins with, or {}."""
    try:
        found: dict[bytes, bytes] | None = storageutil.parsemeta(text)[0]
    except (AttributeError, ValueError):
        # Not metadata, but content that begins like it. Core's function raises
        # AttributeError if it finds no end.
        return {}
    return found or {}


def copy_source(
    store: Store, path: bytes, text: bytes
) -> tuple[FileIndex, int] | None:
    """Return the revision that a text of ``path`` names as its copy source.

    Return None if the text is no copy, or if the source is not in this store
    or is censored.
    """
    if not text.startswith(compat.META_MARKER):
        return None
    meta = metadata(text)
    try:
        source, node = meta[b'copy'], bytes.fromhex(meta[b'copyrev'].decode())
    except (KeyError, ValueError):
        # Metadata of another kind.
        return None
    if source == path:
        return None
    idx = store.index(source)
    rev = idx.core.get_rev(node) if len(node) == index.NODE_SIZE else None
    if rev is None or rev == nullrev or not len(idx):
        return None
    if idx.flags(rev) & constants.REVIDX_ISCENSORED:
        return None
    return idx, rev
