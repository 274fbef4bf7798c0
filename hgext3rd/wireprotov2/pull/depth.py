# SPDX-License-Identifier: GPL-2.0-or-later
"""Merging the two responses with files in a pull of limited depth.

One response lists the file revisions of all changesets, without data. The other
holds the data of the revisions that recent changesets have. Merged, they are
like the response of an ordinary pull, in which some revisions are marked as
lacking data (see ``shallow.storage``). Knows neither wire frames nor
repositories.
"""

from __future__ import annotations

import marshal
import tempfile
from collections.abc import Iterable, Iterator

from mercurial import mdiff

from ..proto.errors import CBORError
from .records import FULLTEXT_HEADER, NULL_ID, RevisionRecord, whole

Files = Iterable[tuple[bytes, Iterable[RevisionRecord]]]

# Bytes of file data held in memory; more goes to a temporary file.
SPOOL = 16 * 1024 * 1024


class RecordSpool:
    """Records of files, kept in a temporary file until they are needed.

    Reads all of ``files``, which are pairs of a path and its revisions.
    """

    def __init__(self, files: Files) -> None:
        self._stream = tempfile.SpooledTemporaryFile(
            max_size=SPOOL, prefix='hg-files-'
        )
        self._places: dict[bytes, tuple[int, int]] = {}
        try:
            for path, records in files:
                start = self._stream.tell()
                count = 0
                for record in records:
                    self._stream.write(marshal.dumps(tuple(record)))
                    count += 1
                self._places[path] = start, count
        except BaseException:
            self._stream.close()
            raise

    def take(self, path: bytes) -> dict[bytes, RevisionRecord]:
        """Return the revisions of a file by node.

        Returns them once, and an empty dict from then on.
        """
        start, count = self._places.pop(path, (0, 0))
        if not count:
            return {}
        self._stream.seek(start)
        # Safe to load: this process has written it above.
        found = (
            RevisionRecord(*marshal.load(self._stream))
            for _index in range(count)
        )
        return {record.node: record for record in found}

    def paths(self) -> list[bytes]:
        """Return the sorted paths of the files that were not taken."""
        return sorted(self._places)

    def close(self) -> None:
        """Delete the temporary file."""
        self._stream.close()


def merge(
    graph: Files, spool: RecordSpool
) -> Iterator[tuple[bytes, Iterator[RevisionRecord]]]:
    """Yield the files of ``graph``, with the data that ``spool`` holds.

    Read the revisions of a file before the next file is requested.
    """
    for path, records in graph:
        yield path, _merged(records, spool.take(path))
    for path in spool.paths():
        yield path, _merged((), spool.take(path))


def _merged(
    records: Iterable[RevisionRecord], content: dict[bytes, RevisionRecord]
) -> Iterator[RevisionRecord]:
    """Yield ``records``, with the data from ``content`` where it has some."""
    sent = set()
    for record in records:
        data = content.get(record.node)
        if data is None:
            yield record
        else:
            sent.add(record.node)
            yield _place(data, record.linknode, sent, content)
    for data in content.values():
        if data.node not in sent:
            sent.add(data.node)
            yield _place(data, data.linknode, sent, content)


def _place(
    data: RevisionRecord,
    link: bytes | None,
    sent: set[bytes],
    content: dict[bytes, RevisionRecord],
) -> RevisionRecord:
    """Return ``data`` in a form that applies after the revisions ``sent``."""
    if data.base != NULL_ID and data.base not in sent:
        # A delta must come after the revision it applies to.
        text = fulltext(data, content)
        data = data._replace(base=NULL_ID, delta=whole(text))
    return data._replace(linknode=link)


def fulltext(
    record: RevisionRecord, content: dict[bytes, RevisionRecord]
) -> bytes:
    """Return the text of ``record``.

    ``content`` holds the revisions that its delta and further ones apply to, by
    node. Raises ``CBORError`` if one is missing.
    """
    deltas: list[bytes] = []
    while record.base != NULL_ID:
        deltas.append(record.delta)
        base = content.get(record.base)
        if base is None or len(deltas) > len(content):
            raise CBORError(b'malformed response: a delta has no base')
        record = base
    text = bytes(record.delta[FULLTEXT_HEADER:])
    return bytes(mdiff.patches(text, deltas[::-1])) if deltas else text
