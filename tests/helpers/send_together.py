# SPDX-License-Identifier: GPL-2.0-or-later
"""Send one request on many connections at once; print how they ended.

usage: send_together.py COUNT URL [COMMAND]
"""

from __future__ import annotations

import collections
import http.client
import sys
import threading
import urllib.parse

MEDIATYPE = 'application/mercurial-exp-framing-0006'


def main() -> None:
    count = int(sys.argv[1])
    url = urllib.parse.urlsplit(sys.argv[2])
    name = sys.argv[3].encode() if len(sys.argv) > 3 else b'heads'
    payload = b'\xa1Dname' + bytes([0x40 + len(name)]) + name
    body = len(payload).to_bytes(3, 'little') + b'\1\0\1\1\x11' + payload
    path = f'{url.path.rstrip("/")}/api/exp-http-v2-0003/ro/{name.decode()}'
    barrier = threading.Barrier(count)
    ends: collections.Counter[str] = collections.Counter()

    def ask() -> None:
        conn = http.client.HTTPConnection(str(url.netloc), timeout=60)
        conn.connect()
        barrier.wait()
        try:
            conn.request(
                'POST',
                path,
                body,
                {'Accept': MEDIATYPE, 'Content-Type': MEDIATYPE},
            )
            response = conn.getresponse()
            data = response.read()
            complete = data.endswith(b'\0\0\0\1\0\2\0\x32')
            ends[f'{response.status}, {"" if complete else "in"}complete'] += 1
        except OSError as e:
            ends[type(e).__name__] += 1

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for end, times in sorted(ends.items()):
        print(f'{times}: {end}')


if __name__ == '__main__':
    main()
