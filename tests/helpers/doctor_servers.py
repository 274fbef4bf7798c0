#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers with something wrong, for tests of "hg admin::doctor".

usage: doctor_servers.py KIND PORT

Starts a server on the port of the loopback interface in the background, and
prints its process id when it accepts connections. The kinds:

``silent``
    accepts connections and answers nothing
``slow``
    sends one byte of a header every tenth of a second, forever
``page``
    answers every request with a page
``late``
    hgweb, and an object store, with a clock that is ten minutes slow
"""

from __future__ import annotations

import email.utils
import http.server
import os
import re
import socketserver
import sys
import threading
import time
from typing import Any

LATE = 600


class Silent(socketserver.BaseRequestHandler):
    """Reads, and answers nothing."""

    def handle(self) -> None:
        while self.request.recv(4096):
            pass


class Slow(socketserver.BaseRequestHandler):
    """Sends a header that never ends."""

    def handle(self) -> None:
        try:
            self.request.sendall(b'HTTP/1.1 200 OK\r\nX: ')
            while True:
                self.request.sendall(b'x')
                time.sleep(0.1)
        except OSError:
            pass


class Page(http.server.BaseHTTPRequestHandler):
    """Answers everything with a page."""

    protocol_version = 'HTTP/1.1'

    def answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(body)))
        self.send_header('ETag', '"1"')
        self.send_header('Last-Modified', 'Mon, 01 Jan 2024 00:00:00 GMT')
        if status == 206:
            # Of the objects here, all is asked for.
            last = len(body) - 1
            self.send_header('Content-Range', f'bytes 0-{last}/{last + 1}')
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    def handle_any(self) -> None:
        self.rfile.read(int(self.headers.get('Content-Length') or 0))
        self.answer(200, 'text/html', b'<p>welcome')

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any

    def log_message(self, *args: Any) -> None:
        pass


class Late(Page):
    """Answers as hgweb, or as an object store, with a slow clock."""

    objects: dict[str, bytes] = {}

    def date_time_string(self, timestamp: float | None = None) -> str:
        return email.utils.formatdate(time.time() - LATE, usegmt=True)

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        path, _mark, query = self.path.partition('?')
        if query == 'cmd=capabilities':
            self.answer(200, 'application/mercurial-0.1', b'batch')
        elif self.command == 'PUT':
            self.objects[path] = body
            self.answer(200, 'text/plain', b'')
        elif self.command == 'DELETE':
            self.objects.pop(path, None)
            self.answer(204, 'text/plain', b'')
        elif query == 'delete':
            found = re.findall(rb'<Key>[^<]*</Key>', body)
            for key in found:
                self.objects.pop(f'{path}/{key[5:-6].decode()}', None)
            deleted = b''.join(b'<Deleted>%s</Deleted>' % k for k in found)
            told = b'<DeleteResult>%s</DeleteResult>' % deleted
            self.answer(200, 'application/xml', told)
        elif path in self.objects and 'Range' in self.headers:
            self.answer(206, 'text/plain', self.objects[path])
        elif path in self.objects:
            self.answer(200, 'text/plain', self.objects[path])
        else:
            self.answer(404, 'text/plain', b'')

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any


def main(kind: str, port: int) -> None:
    handlers = {'silent': Silent, 'slow': Slow, 'page': Page, 'late': Late}
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    server = socketserver.ThreadingTCPServer(
        ('127.0.0.1', port), handlers[kind]
    )
    server.daemon_threads = True
    pid = os.fork()
    if pid:
        print(pid)
        return
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    threading.Thread(target=server.serve_forever).start()


if __name__ == '__main__':
    main(sys.argv[1], int(sys.argv[2]))
