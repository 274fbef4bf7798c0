# SPDX-License-Identifier: GPL-2.0-or-later
"""Receive the revisions of one file from a changegroup.

Each delta is applied, and the text is compared with its node before it is
stored. The FileWriter decides how to store it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mercurial import error, mdiff
from mercurial.i18n import _
from mercurial.node import nullrev
from mercurial.revlogutils import constants, flagutil
from mercurial.utils import storageutil

from ...amalgam.codecs import deltas
from .. import compat
from ..formats.index import Revision
from . import hashing
from .filewriter import FileWriter

# Flags of revisions whose raw text stands for another text, such as those of
# lfs. A sender that has the other text makes deltas of that text.
_ELSEWHERE = (
    flagutil.REVIDX_RAWTEXT_CHANGING_FLAGS & ~constants.REVIDX_ISCENSORED
)

# Returns the text of a revision, after flag processors.
ReadText = Callable[[int], bytes]

# Called with text, node, first and second parent, and flags. Raises an error
# unless the text belongs to the node.
CheckText = Callable[[bytes, bytes, bytes, bytes, int], None]


class Group:
    """The revisions that one changegroup adds to one file.

    ``read`` and ``check`` come from the object that runs Mercurial's flag
    processors. With ``fix_parents``, parents in the wrong order are swapped
    (core's option ``issue6528.fix-incoming``).
    """

    def __init__(
        self,
        file: FileWriter,
        read: ReadText,
        check: CheckText,
        fix_parents: bool,
    ) -> None:
        self._file = file
        self._index = file.index
        self._texts = file.texts
        self._read = read
        self._check_text = check
        self._fix_parents = fix_parents

    def add(self, data: Any, link: int) -> int:
        """Add one revision and return its number.

        ``data`` is what ``compat.incoming`` yields, ``link`` the number of the
        changeset. Raises LookupError if a parent or the base is unknown, and
        StorageError if the text does not belong to the node.
        """
        # This runs for each revision of a clone. A third of its time goes to
        # other work than hashing and compressing, so it makes few calls.
        get_rev = self._index.core.get_rev
        p1, p2 = get_rev(data.p1), get_rev(data.p2)
        base = get_rev(data.delta_base)
        if p1 is None or p2 is None or base is None:
            raise self._unknown(data)
        flags = data.flags or constants.REVIDX_DEFAULT_FLAGS
        delta, text = _received(data)
        if text is None:
            flags |= self._censor_flags(data, base, delta)
            if base != nullrev and self._index.flags(base) & _ELSEWHERE:
                # The delta applies to the text that the raw text stands for.
                text = self._patched(self._read(base), delta)
                base = nullrev
            else:
                text = self._apply(base, delta)
        else:
            base = nullrev
        if flags or hashing.node_of(text, data.p1, data.p2) != data.node:
            self._check(data, text, flags)
        if self._fix_parents and _swapped(text, p1, p2, flags):
            p1, p2 = p2, p1
        draft = Revision(data.node, p1, p2, link, flags, len(text), 0, 0)
        return self._file.add_received(draft, text, base, delta)

    def finish(self) -> None:
        """Write what is still in memory. Call it after the last revision."""
        self._file.finish()

    # checks

    def _unknown(self, data: Any) -> Exception:
        """Return the error for a revision that refers to an unknown one."""
        get_rev = self._index.core.get_rev
        for node in (data.p1, data.p2):
            if get_rev(node) is None:
                return error.LookupError(
                    node, self._file.name, _(b'unknown parent')
                )
        return error.LookupError(
            data.delta_base, self._file.name, _(b'unknown delta base')
        )

    def _censor_flags(self, data: Any, base: int, delta: bytes) -> int:
        """Return the censored flag if a delta makes a tombstone, else 0."""
        index = self._index
        if base != nullrev and index.flags(base) & constants.REVIDX_ISCENSORED:
            # The sender may have the censored text or another tombstone. Only
            # a delta that replaces everything applies to either.
            head = deltas.HUNK.size
            expected = mdiff.replacediffheader(
                index.rawsize(base), len(delta) - head
            )
            if delta[:head] != expected:
                raise error.CensoredBaseError(self._file.name, index.node(base))
        if getattr(data, 'has_censor_flag', False):
            return 0
        if storageutil.deltaiscensored(delta, base, index.rawsize):
            return int(constants.REVIDX_ISCENSORED)
        return 0

    def _check(self, data: Any, text: bytes, flags: int) -> None:
        """Raise StorageError unless the text belongs to the node.

        A revision with the censored flag must be a tombstone, and one without
        it must not.
        """
        try:
            self._check_text(text, data.node, data.p1, data.p2, flags)
            if flags & constants.REVIDX_ISCENSORED:
                raise error.StorageError(
                    _(b'node %s is not censored') % self._file.name
                )
        except error.CensoredNodeError:
            if not flags & constants.REVIDX_ISCENSORED:
                raise

    # texts

    def _apply(self, base: int, delta: bytes) -> bytes:
        if base == nullrev:
            text = deltas.inserted_text(delta)
            return self._patched(b'', delta) if text is None else text
        return self._patched(self._texts.text(base), delta)

    def _patched(self, base_text: bytes, delta: bytes) -> bytes:
        if not delta:
            return base_text
        try:
            return bytes(mdiff.patches(base_text, [delta]))
        except compat.mpatch.mpatchError as exc:
            raise error.StorageError(
                _(b'%s: received a damaged delta') % self._file.name
            ) from exc


def _received(data: Any) -> tuple[bytes, bytes | None]:
    """Return (delta, full text) of a received revision.

    If there is a full text, the delta is empty; otherwise the text is None.
    """
    delta, text = data.delta, data.raw_text
    compression = compat.inbound_compression(data)
    if compression is not None:
        if text is not None:
            text = compat.decompress_inbound(compression, text)
        elif delta is not None:
            delta = compat.decompress_inbound(compression, delta)
    # Both may be views of a larger buffer, which must not be kept in memory.
    if text is not None:
        return b'', bytes(text)
    return bytes(delta) if delta is not None else b'', None


def _swapped(text: bytes, p1: int, p2: int, flags: int) -> bool:
    """Return whether parents are in the wrong order (core's issue 6528).

    A copy has no first parent. Any other revision that has a second parent
    has a first parent too.
    """
    if (p1 == nullrev) == (p2 == nullrev):
        return False
    if flags & flagutil.REVIDX_RAWTEXT_CHANGING_FLAGS:
        # The raw text does not show whether the revision is a copy.
        return False
    return text.startswith(compat.META_MARKER) == (p1 != nullrev)
