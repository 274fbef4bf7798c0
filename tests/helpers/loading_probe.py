# SPDX-License-Identifier: GPL-2.0-or-later
"""Record which modules a server loads while it answers requests.

As an extension, this file watches ``hg serve``. As a program, it serves with
hgweb and watches that: ``loading_probe.py PORT CONFIG``. Either server stops on
SIGTERM and writes one JSON object to the file $LOADING_PROBE:

lazy
    names of the modules that were imported but not loaded when it started
late
    names of the modules that were imported after that
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def watch() -> Iterator[None]:
    """Watch what is imported until the end of the context, and write it."""
    lazy_type: Any = getattr(importlib.util, '_LazyModule', None)
    before = dict(sys.modules)
    lazy = [name for name, mod in before.items() if type(mod) is lazy_type]
    try:
        yield
    finally:
        late = set(sys.modules) - set(before)
        with open(os.environ['LOADING_PROBE'], 'w') as f:
            json.dump({'lazy': sorted(lazy), 'late': sorted(late)}, f)


def extsetup(ui: object) -> None:
    """Watch ``hg serve`` from the moment it accepts connections."""
    from mercurial import extensions, hgweb

    def run(orig: Any, service: Any) -> None:
        with watch():
            orig(service)

    extensions.wrapfunction(hgweb.httpservice, 'run', run)


def main() -> None:
    """Serve a configuration of hgweb in threads, as a WSGI server does."""
    import signal
    import socketserver
    from wsgiref import simple_server

    from mercurial import demandimport

    demandimport.enable()

    from mercurial.hgweb import hgweb

    class Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
        request_queue_size = 20
        daemon_threads = True

    app = hgweb(os.fsencode(sys.argv[2]))
    server: Any = simple_server.make_server(
        '127.0.0.1', int(sys.argv[1]), app, Server
    )
    signal.signal(signal.SIGTERM, lambda *args: sys.exit())
    with watch():
        server.serve_forever()


if __name__ == '__main__':
    main()
