#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run one command of API exp-http-v2-0003, for tests.

usage: wire_call.py URL COMMAND [ARGUMENT=VALUE...]

A VALUE is a Python literal, hexadecimal digits after ``hex:``, or after
``nodes:`` a list of one such. URL may end in a query. Prints the values of the response: bytes as hexadecimal digits if
they are no text.
"""

from __future__ import annotations

import ast
import io
import sys
import urllib.request
from typing import Any

import cbor2

MEDIA_TYPE = 'application/mercurial-exp-framing-0006'


def call(url: str, name: bytes, args: dict[bytes, Any]) -> list[Any]:
    """Return the values of the response; status first."""
    base, mark, query = url.partition('?')
    payload = cbor2.dumps({b'name': name, b'args': args})
    # one command-request frame, new, in a stream that it begins
    frame = len(payload).to_bytes(3, 'little') + b'\x01\x00\x01\x01\x11'
    request = urllib.request.Request(
        f'{base}api/exp-http-v2-0003/ro/{name.decode()}{mark}{query}',
        data=frame + payload,
        headers={'Accept': MEDIA_TYPE, 'Content-Type': MEDIA_TYPE},
    )
    with urllib.request.urlopen(request) as response:
        data = response.read()
    body = b''
    while data:
        size = int.from_bytes(data[:3], 'little')
        # frames of other types say how the stream is encoded: it is not
        if data[7] >> 4 == 3:
            body += data[8 : 8 + size]
        data = data[8 + size :]
    stream = io.BytesIO(body)
    values = []
    while stream.tell() < len(body):
        values.append(cbor2.load(stream))
    return values


def value(text: str) -> Any:
    """Return an argument's value."""
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
