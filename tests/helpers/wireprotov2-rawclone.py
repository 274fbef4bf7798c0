# SPDX-License-Identifier: GPL-2.0-or-later
"""Make a repository of what rawstorefiledata sends.

usage: wireprotov2-rawclone.py URL SOURCE DEST

The requirements are copied from SOURCE; DEST is made.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import sys
import urllib.request

with contextlib.suppress(ImportError):
    importlib.import_module('mercurial.initialization').init()

from mercurial import hg, ui

from hgext3rd.wireprotov2.proto import cbor, frames

MEDIATYPE = 'application/mercurial-exp-framing-0006'


def fetch(url: str) -> list:
    request = cbor.encode(
        {
            b'name': b'rawstorefiledata',
            b'args': {b'files': [b'changelog', b'manifestlog', b'files']},
        }
    )
    body = frames.build(1, 1, 1, 1, 1, request)
    call = urllib.request.Request(
        f'{url}/api/exp-http-v2-0003/ro/rawstorefiledata',
        body,
        {'Accept': MEDIATYPE, 'Content-Type': MEDIATYPE},
    )
    with urllib.request.urlopen(call) as response:
        received = frames.FrameParser().feed(response.read())
    decoder = cbor.Decoder()
    values = []
    for frame in received:
        if frame.typeid == frames.ERROR_RESPONSE:
            sys.exit(f'error: {frame.payload!r}')
        if frame.typeid == frames.COMMAND_RESPONSE:
            values += decoder.feed(frame.payload)
    if values[0] != {b'status': b'ok'}:
        sys.exit(f'error: {values[0]!r}')
    return values[1:]


def main() -> None:
    url, source, dest = sys.argv[1:]
    header, *files = fetch(url)
    assert header[b'filecount'] * 2 == len(files), header
    assert header[b'totalsize'] == sum(map(len, files[1::2])), header
    store = os.path.join(dest, '.hg', 'store')
    os.makedirs(store)
    for name in ('.hg/requires', '.hg/store/requires', '.hg/00changelog.i'):
        if os.path.exists(os.path.join(source, name)):
            shutil.copy(os.path.join(source, name), os.path.join(dest, name))
    loaded = ui.ui.load()
    repo = hg.repository(loaded, os.fsencode(dest))
    with repo.lock(), repo.transaction(b'raw'):
        for info, data in zip(files[::2], files[1::2], strict=True):
            assert info[b'location'] == b'store'
            assert info[b'size'] == len(data), info
            with repo.svfs(info[b'path'], b'w') as out:
                out.write(data)


if __name__ == '__main__':
    main()
