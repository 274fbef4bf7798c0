# SPDX-License-Identifier: GPL-2.0-or-later
"""What servers answer when the database cannot be read.

By itself, hgweb answers with 403 (Forbidden), or adds an error to a response
that it has begun. The database is therefore opened before a response begins. If
it fails later, an error replaces the response as long as nothing was sent;
otherwise the connection is closed before the response is complete. Knows
nothing of what a response contains.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from mercurial import pycompat, wireprototypes
from mercurial.hgweb import common as hgwebcommon
from mercurial.i18n import _

from ...amalgam import wrapping
from .. import errors, requirements

_TROUBLE = (errors.StoreUnavailable, errors.CorruptStore)

# The name of version 1 over HTTP.
_HTTP = b'http-v1'

# Pages of hgweb that need no files. The others at least show tags.
_WITHOUT_FILES = frozenset((b'help', b'static'))


def open_store(repo: Any) -> None:
    """Open the database of a repository, if it has one.

    Raises StoreUnavailable or CorruptStore.
    """
    if requirements.uses_sqlite(repo):
        repo.unfiltered().sqlitestore.revalidate()


@wrapping.own_addresses_only
def run_wsgi(
    orig: Any, app: Any, req: Any, res: Any, repo: Any
) -> Iterator[bytes]:
    """Yield the response to a request, or an error if nothing was sent.

    The caches and the connection of the repository are bounded meanwhile and
    afterwards.
    """
    if not requirements.uses_sqlite(repo):
        yield from _run(orig, app, req, res, repo)
        return
    from ..reading import resting

    with resting.used(repo.unfiltered().sqlitestore):
        yield from _run(orig, app, req, res, repo)


def _run(orig: Any, app: Any, req: Any, res: Any, repo: Any) -> Iterator[bytes]:
    try:
        yield from orig(app, req, res, repo)
    except _TROUBLE as exc:
        message = _text(exc)
        repo.ui.log(b'sqlitestore', b'%s\n', message)
        status = hgwebcommon.statusmessage(hgwebcommon.HTTP_SERVER_ERROR)
        body = message + b'\n'
        headers = [
            ('Content-Type', 'text/plain'),
            ('Content-Length', str(len(body))),
            ('Cache-Control', 'no-store'),
        ]
        # This raises the exception if the server has sent the first headers, as
        # WSGI demands.
        res._startresponse(pycompat.sysstr(status), headers, sys.exc_info())
        yield b'' if req.method == b'HEAD' else body


def send_template(
    orig: Any, rctx: Any, name: bytes, **kwargs: Any
) -> Iterator[bytes]:
    """Render a page, but not the page of an error of the database.

    ``run_wsgi`` answers that. hgweb would choose a status for it by the class
    of the exception.
    """
    if name == b'error':
        exc = sys.exc_info()[1]
        if isinstance(exc, _TROUBLE):
            raise exc
    page: Iterator[bytes] = orig(rctx, name, **kwargs)
    return page


def start_response(
    orig: Any, handler: Any, status: str, headers: Any, exc_info: Any = None
) -> Any:
    """Begin a response of ``hg serve``; it does not know ``exc_info``."""
    if exc_info is not None and handler.sent_headers:
        raise exc_info[1]
    return orig(handler, status, headers)


def do_write(orig: Any, handler: Any) -> None:
    """Answer a request of ``hg serve``; break off a response that fails.

    By itself, ``hg serve`` sends another error behind what it has sent, and
    ends the response as if it were complete.
    """
    try:
        orig(handler)
    except _TROUBLE as exc:
        if not handler.sent_headers:
            raise
        handler.close_connection = True
        handler.log_error(
            'sqlitestore: response broken off: %s',
            _text(exc).decode('utf-8', 'backslashreplace'),
        )


def handle_request(
    orig: Any, rctx: Any, req: Any, res: Any, checkperm: Any
) -> bool:
    """Open the database before a page is rendered.

    Passes all requests on to ``orig``, which is Mercurial's function and
    answers those of the wire protocol.
    """
    answered: bool = orig(rctx, req, res, checkperm)
    if (
        answered
        or not requirements.uses_sqlite(rctx.repo)
        or _page(req) in _WITHOUT_FILES
    ):
        return answered
    try:
        checkperm(rctx, req, None)
    except hgwebcommon.ErrorResponse:
        # hgweb checks it again, and answers.
        return False
    open_store(rctx.repo)
    return False


def _page(req: Any) -> bytes:
    """Return the name of the page that a request asks for."""
    named: bytes | None = req.qsparams.get(b'cmd')
    if named is None:
        # The name may follow the style of the page.
        named = (req.dispatchpath or b'').split(b'/')[0].rpartition(b'-')[2]
    return named


def _text(exc: Any) -> bytes:
    message: bytes = pycompat.bytestr(exc)
    return message


def dispatch(
    orig: Any, repo: Any, proto: Any, *args: Any, **kwargs: Any
) -> Any:
    """Run a command of version 1, and end its stream if that fails.

    An exception would break off the compressed stream, and the client would
    not get what was sent last: a bundle ends with the message of an error.
    """
    response = orig(repo, proto, *args, **kwargs)
    if (
        proto.name == _HTTP
        and requirements.uses_sqlite(repo)
        and isinstance(response, wireprototypes.streamres)
    ):
        response.gen = _ended(repo, response.gen)
    return response


def _ended(repo: Any, chunks: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from chunks
    except _TROUBLE as exc:
        message = _text(exc)
        repo.ui.log(b'sqlitestore', b'%s\n', message)
        repo.ui.warn(_(b'sqlitestore: %s\n') % message)


def make_stream(orig: Any, repo: Any, *args: Any, **kwargs: Any) -> Any:
    """Return the stream of a changegroup, after opening the database.

    Afterwards it is too late to report an error properly.
    """
    open_store(repo)
    return orig(repo, *args, **kwargs)
