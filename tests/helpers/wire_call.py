#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run one command of API exp-http-v2-0003, for tests.

usage: wire_call.py URL COMMAND [ARGUMENT=VALUE...]

A VALUE is a Python literal, ``hex:`` and the hexadecimal digits of bytes, or
``nodes:`` and the hexadecimal digits of a node, which stands for a list of that
node. URL may end in a query. The script prints the values of the response, the
status first. Bytes that are not ASCII text are printed as hexadecimal digits.
"""

from __future__ import annotations

import ast
import io
import sys
import urllib.request
from typing import Any

import cbor2

MEDIA_TYPE = 'application/mercurial-exp-framing-0006'


def command_request(name: bytes, args: dict[bytes, Any]) -> bytes:
    """Return one wire frame with a command request."""
    payload = cbor2.dumps({b'name': name, b'args': args})
    # Length of the payload, request 1, stream 1, beginning of the stream, and
    # a byte for the type (1, command request) and the flags (1, new).
    header = len(payload).to_bytes(3, 'little') + b'\x01\x00\x01\x01\x11'
    return header + payload


def call(url: str, name: bytes, args: dict[bytes, Any]) -> list[Any]:
    """Run a command; return the values of the response, the status first."""
    base, mark, query = url.partition('?')
    request = urllib.request.Request(
        f'{base}api/exp-http-v2-0003/ro/{name.decode()}{mark}{query}',
        data=command_request(name, args),
        headers={'Accept': MEDIA_TYPE, 'Content-Type': MEDIA_TYPE},
    )
    with urllib.request.urlopen(request) as response:
        data = response.read()
    body = b''
    while data:
        size = int.from_bytes(data[:3], 'little')
        # Only command responses (type 3) have values. The stream settings can
        # be ignored: the request offers no encoding, so the server uses none.
        if data[7] >> 4 == 3:
            body += data[8 : 8 + size]
        data = data[8 + size :]
    stream = io.BytesIO(body)
    values = []
    while stream.tell() < len(body):
        values.append(cbor2.load(stream))
    return values


def value(text: str) -> Any:
    """Return the value that a command line argument stands for."""
    if text.startswith('hex:'):
        return bytes.fromhex(text[4:])
    if text.startswith('nodes:'):
        return [bytes.fromhex(text[6:])]
    return ast.literal_eval(text)


def readable(found: Any) -> Any:
    """Return ``found`` with text in place of bytes."""
    if isinstance(found, bytes):
        return found.decode() if found.isascii() else found.hex()
    if isinstance(found, dict):
        return {readable(k): readable(v) for k, v in sorted(found.items())}
    if isinstance(found, (list, tuple)):
        return [readable(item) for item in found]
    return found


if __name__ == '__main__':
    url, command, *pairs = sys.argv[1:]
    args = {}
    for pair in pairs:
        name, text = pair.split('=', 1)
        args[name.encode()] = value(text)
    for found in call(url, command.encode(), args):
        print(readable(found))
