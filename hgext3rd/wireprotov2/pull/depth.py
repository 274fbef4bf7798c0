# SPDX-License-Identifier: GPL-2.0-or-later
"""Records of a pull that is limited in depth.

Two responses become one: which file revisions there are, of all changesets,
and the data of those that the newest changesets have. The rest is marked as
not here (see ``shallow``). Knows neither frames nor repositories.
"""

from __future__ import annotations

import marshal
import tempfile
from collections.abc import Iterable, Iterator

from mercurial import mdiff

from ..proto.errors import CBORError
from .records import NULL_ID, Record, whole

Files = Iterable[tuple[bytes, Iterable[Record]]]

# Bytes of file data held in memory; more goes to a temporary file.
SPOOL = 16 * 1024 * 1024


class Spool:
    """The data of file revisions, until it is known where they belong."""

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

    def take(self, path: bytes) -> dict[bytes, Record]:
        """Return the revisions of a file by node, once."""
        start, count = self._places.pop(path, (0, 0))
        if not count:
            return {}
        self._stream.seek(start)
        # what was written above, in this process
        found = (Record(*marshal.load(self._stream)) for _index in range(count))
        return {record.node: record for record in found}

    def paths(self) -> list[bytes]:
        """Return the files that were not taken."""
        return sorted(self._places)

    def close(self) -> None:
        """Forget everything."""
        self._stream.close()


def merge(
    graph: Files, spool: Spool
) -> Iterator[tuple[bytes, Iterator[Record]]]:
    """Yield the files of ``graph``, with data where ``spool`` has some.

    The revisions of a file must be read before the next is asked for.
    """
    for path, records in graph:
        yield path, _merged(records, spool.take(path))
    for path in spool.paths():
        yield path, _merged((), spool.take(path))


def _merged(
    records: Iterable[Record], content: dict[bytes, Record]
) -> Iterator[Record]:
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
    data: Record,
    link: bytes | None,
    sent: set[bytes],
    content: dict[bytes, Record],
) -> Record:
    if data.base != NULL_ID and data.base not in sent:
        # a delta must follow what it applies to
        text = fulltext(data, content)
        data = data._replace(base=NULL_ID, delta=whole(text))
    return data._replace(linknode=link)


def fulltext(record: Record, content: dict[bytes, Record]) -> bytes:
    """Return the text of a revision from what came with it."""
    deltas: list[bytes] = []
    while record.base != NULL_ID:
        deltas.append(record.delta)
        base = content.get(record.base)
        if base is None or len(deltas) > len(content):
            raise CBORError(b'malformed response: a delta has no base')
        record = base
    text = bytes(record.delta[12:])
    return bytes(mdiff.patches(text, deltas[::-1])) if deltas else text
