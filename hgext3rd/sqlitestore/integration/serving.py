# SPDX-License-Identifier: GPL-2.0-or-later
"""What servers answer when the database cannot be read.

By itself, hgweb answers with 403 (Forbidden), or breaks off a response that it
has begun. The database is therefore opened before a response begins. Knows
nothing of what a response contains.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mercurial import pycompat, wireprototypes
from mercurial.hgweb import common as hgwebcommon
from mercurial.i18n import _

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


def handle_request(
    orig: Any, rctx: Any, req: Any, res: Any, checkperm: Any
) -> bool:
    """Answer a request for a page if its files cannot be read.

    Passes all requests on to ``orig``, which is Mercurial's function and
    answers those of the wire protocol.
    """
    repo = rctx.repo
    if not requirements.uses_sqlite(repo):
        answered: bool = orig(rctx, req, res, checkperm)
        return answered
    try:
        if orig(rctx, req, res, checkperm):
            return True
        if _page(req) in _WITHOUT_FILES:
            return False
        try:
            checkperm(rctx, req, None)
        except hgwebcommon.ErrorResponse:
            # hgweb checks it again, and answers.
            return False
        open_store(repo)
        return False
    except _TROUBLE as exc:
        _fail(repo, res, exc)
        return True


def _page(req: Any) -> bytes:
    """Return the name of the page that a request asks for."""
    named: bytes | None = req.qsparams.get(b'cmd')
    if named is None:
        # The name may follow the style of the page.
        named = (req.dispatchpath or b'').split(b'/')[0].rpartition(b'-')[2]
    return named


def _fail(repo: Any, res: Any, exc: Any) -> None:
    """Answer that the server has a problem."""
    message = _text(exc)
    repo.ui.log(b'sqlitestore', b'%s\n', message)
    res.status = hgwebcommon.statusmessage(hgwebcommon.HTTP_SERVER_ERROR)
    res.headers[b'Content-Type'] = b'text/plain'
    res.setbodybytes(message + b'\n')


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
