# SPDX-License-Identifier: GPL-2.0-or-later
"""Send the same request on many connections at once; print how they ended.

usage: send_together.py COUNT URL [COMMAND]

COMMAND is a command of API exp-http-v2-0003 without arguments, "heads" unless
given. Each printed line is a number of requests and how they ended: the HTTP
status and whether the response was complete, or the name of an exception.
"""

from __future__ import annotations

import collections
import http.client
import sys
import threading
import urllib.parse

from wire_call import MEDIA_TYPE, command_request

# The wire frame that ends a response: no payload, request 1, stream 2, end of
# the stream of values.
LAST_FRAME = b'\0\0\0\1\0\2\0\x32'


def main() -> None:
    count = int(sys.argv[1])
    url = urllib.parse.urlsplit(sys.argv[2])
    name = sys.argv[3].encode() if len(sys.argv) > 3 else b'heads'
    body = command_request(name, {})
    path = f'{url.path.rstrip("/")}/api/exp-http-v2-0003/ro/{name.decode()}'
    barrier = threading.Barrier(count)
    ends: collections.Counter[str] = collections.Counter()

    def ask() -> None:
        conn = http.client.HTTPConnection(str(url.netloc), timeout=600)
        conn.connect()
        barrier.wait()
        try:
            conn.request(
                'POST',
                path,
                body,
                {'Accept': MEDIA_TYPE, 'Content-Type': MEDIA_TYPE},
            )
            response = conn.getresponse()
            data = response.read()
            complete = data.endswith(LAST_FRAME)
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
