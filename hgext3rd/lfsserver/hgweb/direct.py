# SPDX-License-Identifier: GPL-2.0-or-later
"""Answers of the fast path under a WSGI server.

This module translates WSGI environments and replies; ``fastpath`` does the
rest.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..api.routes import may_be_lfs
from ..http.origin import server_authority
from . import fastpath
from .addresses import Arrival
from .body import ConnectionBody
from .wsgibody import WSGIBody

# The fast path of each application; None if it has none.
_paths: weakref.WeakKeyDictionary[Any, fastpath.FastPath | None] = (
    weakref.WeakKeyDictionary()
)
_lock = threading.Lock()


def _after_fork() -> None:
    """Renew what threads of the parent may have been using."""
    global _paths, _lock
    _paths = weakref.WeakKeyDictionary()
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def respond(
    app: Any, env: Mapping[str, Any], start_response: Callable[..., Any]
) -> Iterable[Any] | None:
    """Answer a request for the application ``app``, as WSGI demands.

    Returns None if hgweb has to answer. Nothing of the request has been read
    then.
    """
    if not may_be_lfs(env.get('PATH_INFO', '')) or env.get('REPO_NAME'):
        return None
    path = _path_of(app)
    if path is None:
        return None
    body = env['wsgi.input']
    if not isinstance(body, ConnectionBody):
        body = WSGIBody(env)
    reply = path.answer(_received(env, body))
    if reply is None:
        return None
    status, headers, content = reply
    if isinstance(body, WSGIBody):
        body.finish(start_response)
    else:
        body.refuse()
    start_response(status, headers)
    return content


def _path_of(app: Any) -> fastpath.FastPath | None:
    with _lock:
        if app not in _paths:
            _paths[app] = fastpath.fast_path(app)
        return _paths[app]


def _received(
    env: Mapping[str, Any], body: WSGIBody | ConnectionBody
) -> fastpath.Received:
    headers = {
        name[5:].replace('_', '-').lower(): value
        for name, value in env.items()
        if name.startswith('HTTP_')
    }
    for name in ('CONTENT_LENGTH', 'CONTENT_TYPE'):
        if name in env:
            headers.setdefault(name.replace('_', '-').lower(), env[name])
    scheme = env['wsgi.url_scheme']
    user = env.get('REMOTE_USER')
    return fastpath.Received(
        method=env['REQUEST_METHOD'],
        path=env['PATH_INFO'].encode('latin-1').strip(b'/'),
        query=env.get('QUERY_STRING', ''),
        arrival=Arrival(
            peer=env.get('REMOTE_ADDR', ''),
            scheme=scheme,
            authority=env.get('HTTP_HOST')
            or server_authority(
                scheme, env.get('SERVER_NAME', ''), env.get('SERVER_PORT', '')
            ),
            headers=headers,
            app=env.get('SCRIPT_NAME', '').encode('latin-1'),
        ),
        body=body,
        user=None if user is None else user.encode('latin-1'),
        write_error=lambda text: write_error(env['wsgi.errors'], text),
    )


def write_error(log: Any, text: str) -> None:
    """Write to the error log of a WSGI server."""
    try:
        log.write(text.encode('utf-8', 'replace'))
    except TypeError:
        # hg serve expects bytes; WSGI servers expect text.
        log.write(text + '\n')
