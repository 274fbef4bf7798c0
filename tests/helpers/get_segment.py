#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetch the last segment that a server lists, as a client would.

usage: get_segment.py URL FILE

The script prints the description of the segment in the response, checks the
size and the digest of the data, and writes the data to FILE as a bundle.
"""

from __future__ import annotations

import hashlib
import io
import sys

from mercurial import ui
from wire_call import call

from hgext3rd.wireprotov2.segments import bundle

url, path = sys.argv[1:]
_status, _head, *segments = call(url, b'segments', {})
status, about, payload = call(
    url, b'segmentdata', {b'name': segments[-1][b'name']}
)
assert status == {b'status': b'ok'}, status
assert about[b'size'] == len(payload)
assert about[b'sha256'] == hashlib.sha256(payload).digest()
assert about[b'name'] == segments[-1][b'name']
print(
    f'{about[b"changesets"]} changesets, changegroup '
    f'{about[b"cgversion"].decode()}, {about[b"mediatype"].decode()}'
)
container = bundle.container(ui.ui.load(), io.BytesIO(payload))
with open(path, 'wb') as out:
    while data := container.read(100_000):
        out.write(data)
