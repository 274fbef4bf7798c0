# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetching texts whose deltas this repository cannot apply, during a pull.

A server assumes that a client has the files of all ancestors, so it may send a
delta against a revision whose data is missing in a repository of limited depth.
The storage that the delta is added to notices that, and asks for the text (see
``shallow.storage``).
"""

from __future__ import annotations

from ..client import failures
from ..client.endpoint import Endpoint
from ..client.exchange import call
from ..client.transport import Transport
from ..proto.errors import CBORError, ProtocolError
from . import records
from .depth import fulltext
from .wanted import DATA_FIELDS


class TextFetcher:
    """Requests texts of file revisions from the server of a pull.

    Uses a connection of its own, because the response with the deltas is being
    read meanwhile.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._client: Transport | None = None

    def __call__(
        self, path: bytes, node: bytes, p1: bytes, p2: bytes
    ) -> bytes | None:
        """Return the text of a revision of the file ``path``.

        None says that the server cannot be asked with version 2. Raises
        ``failures.RemoteFailure``.
        """
        api = self._endpoint.api
        if api is None or b'filedata' not in api.commands:
            return None
        if self._client is None:
            self._client = self._endpoint.parallel_client()
        args = {b'path': path, b'nodes': [node], b'fields': DATA_FIELDS}
        try:
            values = iter(call(self._client, b'filedata', args))
            found = list(records.revisions(values, records.header(values)))
            if len(found) != 1 or found[0][:3] != (node, p1, p2):
                raise CBORError(b'malformed response: another revision')
            return fulltext(found[0], {})
        except ProtocolError as exc:
            raise failures.RemoteFailure(self._client.url, exc.message) from exc
