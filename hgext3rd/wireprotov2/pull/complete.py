# SPDX-License-Identifier: GPL-2.0-or-later
"""Replacing deltas that this repository cannot apply, during a pull.

A server assumes that a client has the files of all ancestors, so it may send a
delta against a revision whose data is missing in a repository of limited depth.
"""

from __future__ import annotations

from typing import Any

from ..client.endpoint import Endpoint
from ..client.exchange import call
from ..client.http import HTTPClient
from ..proto.errors import CBORError
from ..shallow import storage
from . import records
from .depth import fulltext
from .records import NULL_ID, RevisionRecord, whole
from .wanted import DATA_FIELDS


class Completer:
    """Replaces deltas against missing data by full texts.

    Requests the texts over a connection of its own, while the response with the
    deltas is being read.
    """

    def __init__(self, repo: Any, endpoint: Endpoint) -> None:
        self._repo = repo.unfiltered()
        self._endpoint = endpoint
        self._client: HTTPClient | None = None
        self._path = b''
        self._inner: Any = None

    def __call__(self, path: bytes, record: RevisionRecord) -> RevisionRecord:
        """Return ``record`` of the file ``path``, or one with a full text.

        Raises ``CBORError`` if the server answers with another revision.
        """
        if record.base == NULL_ID:
            return record
        if path != self._path:
            self._path = path
            self._inner = storage.of_file(self._repo, path)
        inner = self._inner
        if not (
            inner.hasnode(record.base)
            and storage.is_missing(self._repo, inner, record.base)
        ):
            return record
        if self._client is None:
            self._client = self._endpoint.separate_client()
        args = {b'path': path, b'nodes': [record.node], b'fields': DATA_FIELDS}
        values = iter(call(self._client, b'filedata', args))
        found = list(records.revisions(values, records.header(values)))
        if len(found) != 1 or found[0][:3] != record[:3]:
            raise CBORError(b'malformed response: another revision')
        text = fulltext(found[0], {})
        # The text is complete, whatever flags the server stores it with.
        return record._replace(base=NULL_ID, delta=whole(text), flags=0)
