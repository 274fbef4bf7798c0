# SPDX-License-Identifier: GPL-2.0-or-later
"""Forms of pages, protected against requests that another site makes.

A browser sends the credentials of its user with any request, whoever made the
page that asks for it. So a form carries a token that only a page of this server
can have: it depends on a secret of the repository, on the user, and on what the
form does. Browsers also say where a request comes from, which is checked as
well. Nothing here knows what forms do.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from .. import errors
from ..stores import configured
from . import addresses, wsgi

# The name of the field with the token.
TOKEN = 'token'

_SECRET = b'lfs-form-secret'
_SECRET_SIZE = 32

# Bytes and fields of a form. Ours have about 200 bytes in three fields.
_MAX_FORM = 4096
_MAX_FIELDS = 8

_MEDIA_TYPE = 'application/x-www-form-urlencoded'

_DEFAULT_PORTS = (':80', ':443')


def possible(repo: Any) -> bool:
    """Return whether this server can check forms of a repository.

    It cannot if the cache folder is read-only.
    """
    try:
        _secret(repo)
    except errors.StoreUnavailable:
        return False
    return True


def token(repo: Any, user: bytes | None, action: str) -> str:
    """Return the token of a form with which ``user`` does ``action``.

    Raises StoreUnavailable if there can be no secret.
    """
    message = b'\0'.join((user or b'', action.encode()))
    return hmac.new(_secret(repo), message, hashlib.sha256).hexdigest()


def _secret(repo: Any) -> bytes:
    """Return the secret of a repository; make it if there is none.

    All processes of a server use the same. Without it, tokens of open pages are
    invalid, and nothing else is lost.
    """
    path = os.fsdecode(repo.cachevfs.join(_SECRET))
    creator = configured.file_creator(repo)
    try:
        if not os.path.exists(path):
            creator.make_directories(os.path.dirname(path))
            hidden = f'{path}.{secrets.token_hex(8)}'
            fd = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.write(fd, secrets.token_bytes(_SECRET_SIZE))
                # Other users of the computer must not know it.
                os.fchmod(fd, creator.file_mode & 0o660)
            finally:
                os.close(fd)
            # Another process may have been faster.
            with suppress(FileExistsError):
                os.link(hidden, path)
            os.unlink(hidden)
        with open(path, 'rb') as stream:
            found = stream.read()
    except OSError as error:
        raise errors.StoreUnavailable(
            'this server cannot check forms', detail=str(error)
        ) from error
    if len(found) != _SECRET_SIZE:
        raise errors.StoreUnavailable(
            'this server cannot check forms', detail=f'{path} is damaged'
        )
    return found


def receive(req: Any, ui: Any) -> Mapping[str, str]:
    """Return the fields of the form in a request of hgweb.

    Check the permission before. Raises LfsServerError if the request was made
    by another site, or is no form.
    """
    _check_origin(req, ui)
    headers = req.headers
    media = headers.get(b'Content-Type', b'').partition(b';')[0].strip().lower()
    if media.decode('latin-1') != _MEDIA_TYPE:
        raise errors.UnsupportedMediaType(f'send {_MEDIA_TYPE}')
    length = headers.get(b'Content-Length', b'')
    if not length.isdigit():
        raise errors.LengthRequired('send the length of the form')
    if len(length) > len(str(_MAX_FORM)) or int(length) > _MAX_FORM:
        raise errors.TooLarge('the form is too large')
    body: bytes = req.bodyfh.read(int(length))
    try:
        pairs = parse_qsl(
            body.decode('ascii'),
            keep_blank_values=True,
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError:
        raise errors.BadRequest('the form is malformed') from None
    return dict(pairs)


def check_token(
    repo: Any, user: bytes | None, action: str, fields: Mapping[str, str]
) -> None:
    """Raise Forbidden unless the form is of a page that ``user`` got."""
    expected = token(repo, user, action).encode()
    given = fields.get(TOKEN, '').encode('utf-8', 'replace')
    if not hmac.compare_digest(expected, given):
        raise errors.Forbidden(
            'this form is outdated, or does not come from this server: '
            'reload the page and try again'
        )


def _check_origin(req: Any, ui: Any) -> None:
    """Raise Forbidden if a browser says that another site made the request.

    Old browsers, and those that reach the server by HTTP, send less. Programs
    send nothing. The token protects these.
    """
    arrival = wsgi.arrival_of(req)
    site = arrival.headers.get('sec-fetch-site')
    if site not in (None, 'same-origin'):
        raise errors.Forbidden('another site has made this request')
    origin = arrival.headers.get('origin')
    if origin is None or site is not None:
        return
    address = addresses.address_of(ui, arrival).url
    if _authority(origin) != _authority(address):
        raise errors.Forbidden('another site has made this request')


def _authority(url: str) -> str:
    """Return host and port of a URL; a default port counts as none.

    The scheme does not matter: a proxy may not tell that it is HTTPS.
    """
    try:
        authority = urlsplit(url).netloc.lower()
    except ValueError:
        return ''
    for port in _DEFAULT_PORTS:
        authority = authority.removesuffix(port)
    return authority
