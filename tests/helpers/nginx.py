# SPDX-License-Identifier: GPL-2.0-or-later
"""nginx in front of a server that a test has started."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from conftest import accepts, free_port, wait_for

NGINX = """\
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {text}
}}
"""

SERVER = """\
    server {{
        listen 127.0.0.1:{port}{tls};
        client_max_body_size 0;
        location / {{
            proxy_pass http://127.0.0.1:{behind};
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_buffering off;
            {fields}
        }}
    }}
"""


def certificate(folder: pathlib.Path) -> None:
    """Make a certificate for localhost and its key in ``folder``."""
    if shutil.which('openssl') is None:
        pytest.skip('missing feature: openssl')
    subprocess.run(
        ['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes']
        + ['-keyout', 'key.pem', '-out', 'cert.pem', '-days', '2']
        + ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'],
        cwd=folder,
        check=True,
        capture_output=True,
    )


@contextlib.contextmanager
def nginx(
    folder: pathlib.Path,
    behind: int,
    fields: str = 'proxy_set_header Host $http_host;',
    tls: bool = False,
) -> Iterator[int]:
    """Run nginx in front of the port ``behind``; yield its own port.

    ``fields`` is configuration that sets header fields.
    """
    secure = ''
    if tls:
        certificate(folder)
        secure = (
            f' ssl; ssl_certificate {folder}/cert.pem;'
            f' ssl_certificate_key {folder}/key.pem'
        )
    port = free_port()
    text = SERVER.format(port=port, behind=behind, fields=fields, tls=secure)
    with running(folder, text, port):
        yield port


@contextlib.contextmanager
def running(folder: pathlib.Path, text: str, port: int) -> Iterator[None]:
    """Run nginx with ``text`` in its configuration; it listens on ``port``."""
    program = shutil.which('nginx', path='/usr/sbin:/usr/bin:/usr/local/bin')
    if program is None:
        pytest.skip('missing feature: nginx HTTP server')
    conf = folder / 'nginx.conf'
    conf.write_text(NGINX.format(folder=folder, text=text))
    process = subprocess.Popen([program, '-p', str(folder), '-c', str(conf)])
    try:
        wait_for(lambda: accepts(port), 'nginx', process)
        yield
    finally:
        process.terminate()
        process.wait()
