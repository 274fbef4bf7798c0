#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetch the last segment a server lists, as a client would.

usage: get-segment.py URL FILE

Prints what the response says of the segment, checks its size and digest, and
writes it as a bundle.
"""

from __future__ import annotations

import hashlib
import io
import sys
import urllib.request
from typing import Any

import cbor2
from mercurial import ui

from hgext3rd.wireprotov2 import segmentbundle

MEDIA_TYPE = 'application/mercurial-exp-framing-0006'


def call(url: str, name: bytes, args: dict[bytes, Any]) -> list[Any]:
    """Return the values of the response; status first."""
    payload = cbor2.dumps({b'name': name, b'args': args})
    # one command-request frame, new, in a stream that it begins
    frame = len(payload).to_bytes(3, 'little') + b'\x01\x00\x01\x01\x11'
    request = urllib.request.Request(
        f'{url}api/exp-http-v2-0003/ro/{name.decode()}',
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


url, path = sys.argv[1:]
_status, _head, *pieces = call(url, b'segments', {})
status, about, payload = call(
    url, b'segmentdata', {b'name': pieces[-1][b'name']}
)
assert status == {b'status': b'ok'}, status
assert about[b'size'] == len(payload)
assert about[b'sha256'] == hashlib.sha256(payload).digest()
assert about[b'name'] == pieces[-1][b'name']
print(
    f'{about[b"changesets"]} changesets, changegroup '
    f'{about[b"cgversion"].decode()}, {about[b"mediatype"].decode()}'
)
container = segmentbundle.container(ui.ui.load(), io.BytesIO(payload))
with open(path, 'wb') as out:
    while data := container.read(100_000):
        out.write(data)
