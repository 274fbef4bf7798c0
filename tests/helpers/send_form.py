# SPDX-License-Identifier: GPL-2.0-or-later
"""Request a page of hgweb as a browser does, and show the answer.

Usage: send_form.py METHOD PATH [USER [FIELD=VALUE | NAME:VALUE]...]

The server is at the port HGPORT. The request has the fields as a form, and the
header fields; without a USER it is anonymous. Redirects are shown and not
followed.
"""

from __future__ import annotations

import base64
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from typing import Any


class Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect."""

    def redirect_request(self, *args: Any) -> None:
        """Return no request."""


def main(method: str, path: str, user: str = '', *items: str) -> None:
    """Send the request, and print status, location and body."""
    headers = {}
    fields = {}
    if user:
        pair = base64.b64encode(f'{user}:secret'.encode()).decode()
        headers['Authorization'] = f'Basic {pair}'
    for item in items:
        if '=' in item:
            name, _equals, value = item.partition('=')
            fields[name] = value
        else:
            name, _colon, value = item.partition(':')
            headers[name] = value
    request = urllib.request.Request(
        f'http://localhost:{os.environ["HGPORT"]}/{path}',
        urllib.parse.urlencode(fields).encode() if method == 'POST' else None,
        headers,
        method=method,
    )
    try:
        response = urllib.request.build_opener(Stay).open(request)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        location = response.headers.get('Location', '')
        print(response.status, response.reason, location, flush=True)
        sys.stdout.buffer.write(response.read())


if __name__ == '__main__':
    main(*sys.argv[1:])
