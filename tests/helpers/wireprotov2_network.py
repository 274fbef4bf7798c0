# SPDX-License-Identifier: GPL-2.0-or-later
"""Web servers for tests of the client: TLS, proxies, redirects, passwords.

Everything runs in threads of the test's process, on free loopback ports.
"""

from __future__ import annotations

import abc
import base64
import contextlib
import datetime
import ipaddress
import pathlib
import select
import socket
import socketserver
import ssl
import threading
import urllib.parse
import wsgiref.simple_server
from collections.abc import Callable
from typing import Any


class _Handler(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_args: Any) -> None:
        pass


class _Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True
    # Clients open many connections at the same moment.
    request_queue_size = 50


class Web:
    """An HTTP server for a WSGI application.

    ``seen`` has the header fields of each request, and its ``path`` with query.
    """

    def __init__(self, app: Callable[..., Any]) -> None:
        self._app = app
        self.seen: list[dict[str, str]] = []
        self._server = wsgiref.simple_server.make_server(
            '127.0.0.1', 0, self._run, _Server, _Handler
        )
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _run(self, env: dict[str, Any], start_response: Any) -> Any:
        if '://' in env['PATH_INFO']:
            # A request through a proxy names the whole URL, which servers must
            # accept (RFC 9112, section 3.2.2).
            env['PATH_INFO'] = urllib.parse.urlsplit(env['PATH_INFO']).path
        headers = {
            name[5:].lower(): value
            for name, value in env.items()
            if name.startswith('HTTP_')
        }
        query = env['QUERY_STRING']
        self.seen.append({**headers, 'path': f'{env["PATH_INFO"]}?{query}'})
        return self._app(env, start_response)

    @property
    def paths(self) -> list[str]:
        return [request['path'] for request in self.seen]

    @property
    def url(self) -> bytes:
        return b'http://localhost:%d/' % self.port

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def with_password(app: Callable[..., Any], user: str, password: str) -> Any:
    """Return ``app`` behind basic authentication."""
    expected = (
        'Basic ' + base64.b64encode(f'{user}:{password}'.encode()).decode()
    )

    def run(env: dict[str, Any], start_response: Any) -> Any:
        if env.get('HTTP_AUTHORIZATION') == expected:
            return app(env, start_response)
        headers = [('WWW-Authenticate', 'Basic realm="r"')]
        start_response('401 Unauthorized', headers)
        return [b'']

    return run


def elsewhere(status: str, base: bytes, keep_query: bool = True) -> Any:
    """Return an application that redirects each request to below ``base``.

    It removes the path prefix "/old" if there is one.
    """

    def run(env: dict[str, Any], start_response: Any) -> Any:
        target = base.decode() + env['PATH_INFO'].removeprefix('/old').lstrip(
            '/'
        )
        if keep_query:
            target += '?' + env['QUERY_STRING']
        start_response(status, [('Location', target)])
        return [b'']

    return run


def pump(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes in both directions until one end closes."""
    with contextlib.suppress(OSError), one, other:
        while True:
            pending = [s for s in (one, other) if _pending(s)]
            ready = pending or select.select([one, other], [], [])[0]
            for source in ready:
                data = source.recv(65536)
                if not data:
                    return
                (other if source is one else one).sendall(data)


def _pending(sock: socket.socket) -> bool:
    return isinstance(sock, ssl.SSLSocket) and bool(sock.pending())


class Listener(abc.ABC):
    """A server that handles each connection in a thread of its own."""

    def __init__(self) -> None:
        self._socket = socket.create_server(('127.0.0.1', 0), backlog=50)
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = self._socket.accept()
                threading.Thread(
                    target=self._serve, args=(client,), daemon=True
                ).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            self.run(client)

    @abc.abstractmethod
    def run(self, client: socket.socket) -> None:
        """Handle one connection."""

    def close(self) -> None:
        self._socket.close()


class TLS(Listener):
    """A TLS endpoint in front of the plain server at port ``target``.

    ``names`` has the server name (SNI) that each client sent. ``certificates``
    has the client certificate of each connection, empty or None without one.
    """

    def __init__(self, target: int, pem: pathlib.Path) -> None:
        self._target = target
        self.names: list[str | None] = []
        self.certificates: list[Any] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pem)
        self._context.load_verify_locations(pem)
        self._context.verify_mode = ssl.CERT_OPTIONAL
        self._context.sni_callback = self._named
        super().__init__()

    def _named(self, _socket: Any, name: str | None, _context: Any) -> None:
        self.names.append(name)

    @property
    def url(self) -> bytes:
        return b'https://localhost:%d/' % self.port

    def run(self, client: socket.socket) -> None:
        wrapped = self._context.wrap_socket(client, server_side=True)
        # A client that rejects the server's certificate does so only after the
        # handshake, so its connection is counted as well.
        self.certificates.append(wrapped.getpeercert())
        pump(wrapped, socket.create_connection(('127.0.0.1', self._target)))


class Proxy(Listener):
    """An HTTP proxy; ``seen`` has the head of each request.

    If ``password`` ("user:password") is given, the proxy refuses requests with
    other credentials or none.
    """

    def __init__(self, password: str | None = None) -> None:
        self.seen: list[str] = []
        self._password = password
        super().__init__()

    def run(self, client: socket.socket) -> None:
        data = b''
        while b'\r\n\r\n' not in data:
            received = client.recv(65536)
            if not received:
                return
            data += received
        raw, _end, rest = data.partition(b'\r\n\r\n')
        head = raw.decode('latin-1')
        self.seen.append(head)
        if self._password is not None:
            code = base64.b64encode(self._password.encode()).decode()
            if f'proxy-authorization: basic {code}'.lower() not in head.lower():
                client.sendall(b'HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n')
                client.close()
                return
        method, target, version = head.split('\r\n')[0].split(' ')
        if method == 'CONNECT':
            host, _sep, port = target.rpartition(':')
            client.sendall(b'HTTP/1.0 200 OK\r\n\r\n')
        else:
            url = urllib.parse.urlsplit(target)
            host, port = url.hostname or '', str(url.port or 80)
            path = urllib.parse.urlunsplit(('', '', *url[2:]))
            lines = [f'{method} {path} {version}', 'Connection: close']
            lines += head.split('\r\n')[1:]
            rest = '\r\n'.join([*lines, '', '']).encode('latin-1') + rest
        upstream = socket.create_connection((host, int(port)))
        upstream.sendall(rest)
        pump(client, upstream)


def make_certificate(folder: pathlib.Path, name: str) -> pathlib.Path:
    """Create a key and a certificate for a host; return their file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime(2020, 1, 1)
    names = [
        x509.DNSName(name),
        x509.IPAddress(ipaddress.ip_address('127.0.0.1')),
    ]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now.replace(year=2120))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / f'{name}.pem'
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


def encrypted(
    pem: pathlib.Path, folder: pathlib.Path, passphrase: bytes
) -> pathlib.Path:
    """Encrypt the key in the file ``pem``; return the new file."""
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(pem.read_bytes(), None)
    path = folder / 'key.pem'
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(passphrase),
        )
    )
    return path


def fingerprint(pem: pathlib.Path) -> bytes:
    """Return a certificate's fingerprint in the form of [hostsecurity]."""
    import hashlib

    text = pem.read_text()
    der = ssl.PEM_cert_to_DER_cert(text[text.index('-----BEGIN CERT') :])
    digest = hashlib.sha256(der).hexdigest()
    return (
        b'sha256:'
        + ':'.join(digest[i : i + 2] for i in range(0, len(digest), 2)).encode()
    )
