# SPDX-License-Identifier: GPL-2.0-or-later
"""The types that describe a connection of ``hg serve``.

HandlerBase is the part of Mercurial's request handler that this package uses.
Its declarations are for the type checker; at run time it is empty, because the
real base class is known only when ``hg serve`` creates its server. Source:
mercurial/hgweb/server.py and Python's http.server. Nothing here has behaviour.
"""

from __future__ import annotations

import io
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..stores.content import FileSlice

# A status line, header fields and the content.
Reply = tuple[str, list[tuple[str, str]], Iterable[bytes | FileSlice]]

if TYPE_CHECKING:

    class HandlerBase:
        """The methods and attributes of ``_httprequesthandler``."""

        connection: socket.socket
        rfile: io.BufferedReader
        wfile: Any
        headers: Any
        path: str
        command: str
        close_connection: bool
        length: int | None
        sent_headers: bool
        _headers_buffer: list[bytes]
        timeout: float | None
        server: Any
        url_scheme: bytes
        client_address: tuple[str, int]

        def setup(self) -> None: ...
        def handle_one_request(self) -> None: ...
        def parse_request(self) -> bool: ...
        def handle_expect_100(self) -> bool: ...
        def do_POST(self) -> None: ...
        def send_error(self, code: int) -> None: ...
        def do_hgweb(self) -> None: ...
        def _write(self, data: bytes) -> None: ...
        def _start_response(
            self, status: str, headers: list[tuple[str, str]]
        ) -> Any: ...
        def end_headers(self) -> None: ...
        def send_headers(self) -> None: ...
        def flush_headers(self) -> None: ...
        def send_response(self, code: int) -> None: ...
        def send_header(self, name: str, value: str) -> None: ...
        def log_error(self, format: str, *args: object) -> None: ...
else:
    HandlerBase = object
