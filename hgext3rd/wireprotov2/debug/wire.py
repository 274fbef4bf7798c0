# SPDX-License-Identifier: GPL-2.0-or-later
"""``hg debugwireprotov2``: run a script against a server, and show every byte.

Turns the actions of a script into requests of the same form as in recorded
exchanges. ``connection`` and ``answers`` print what is sent and received.
"""

from __future__ import annotations

import base64
from typing import Any

from mercurial import error
from mercurial.i18n import _
from mercurial.utils import stringutil, urlutil

from ..proto import cbor, frames, requests, streams
from ..proto.errors import ProtocolError
from ..server.commands import apis
from ..server.commands.registry import API
from . import answers, connection, script

# The user agent in recorded exchanges.
_USER_AGENT = b'Mercurial debugwireproto'


def run(ui: Any, path: bytes, opts: dict[str, Any]) -> None:
    """Run the script on standard input against the server at ``path``.

    Raises ``InputError`` for an invalid script, API, encoding or URL.
    """
    name = opts['api']
    if name not in apis.APIS:
        raise error.InputError(
            _(b'unknown API: %s') % name,
            hint=_(b'known APIs: %s') % b', '.join(sorted(apis.APIS)),
        )
    api = apis.APIS[name]
    url = urlutil.url(path)
    if url.scheme not in (b'http', b'https') or not url.host:
        raise error.InputError(
            _(b'only http:// and https:// URLs are supported')
        )
    encodings = opts['content_encoding'] or [b'identity']
    for encoding in encodings:
        if encoding not in streams.PROFILES:
            raise error.InputError(_(b'unknown encoding: %s') % encoding)
    session = _Session(ui, url, api, encodings)
    ui.status(_(b'creating http peer for wire protocol version 2\n'))
    for action in script.parse(ui.fin, api.framing):
        session.run(action)


class _Session:
    """The actions of one script against one server."""

    def __init__(
        self, ui: Any, url: Any, api: API, encodings: list[bytes]
    ) -> None:
        self._ui = ui
        self._url = url
        self._api = api
        self._encodings = encodings
        host = url.host
        if url.port:
            host += b':' + url.port
        self._host = host
        self._base = b'/' + (url.path or b'').strip(b'/')
        if not self._base.endswith(b'/'):
            self._base += b'/'

    def run(self, action: script.Action) -> None:
        """Send the request of an action and show the responses.

        Raises ``RepoError`` if a single command is answered with an error, and
        ``Abort`` if there is no valid response.
        """
        if isinstance(action, script.CommandAction):
            self._command(action)
        elif isinstance(action, script.BatchAction):
            self._batch(action)
        else:
            self._raw(action)

    def _command(self, action: script.CommandAction) -> None:
        self._ui.status(_(b'sending %s command\n') % action.name)
        command = self._api.commands.get(action.name)
        permission = b'pull' if command is None else command.permission
        url = self._command_url(permission, action.name)
        (values,) = self._exchange(url, [action])
        self._ui.status(_(b'response: %s\n') % answers.response_text(values))

    def _batch(self, action: script.BatchAction) -> None:
        self._ui.status(
            _(b'sending batch with %d sub-commands\n') % len(action.commands)
        )
        known = self._api.commands
        writes = any(
            c.name in known and known[c.name].permission == b'push'
            for c in action.commands
        )
        url = self._command_url(b'push' if writes else b'pull', b'multirequest')
        responses = self._exchange(url, action.commands)
        for number, values in enumerate(responses):
            try:
                text = answers.response_text(values)
            except error.RepoError as e:
                text = _(b'error: %s') % stringutil.forcebytestr(e)
            self._ui.status(_(b'response #%d: %s\n') % (number, text))

    def _raw(self, action: script.RequestAction) -> None:
        self._ui.status(_(b'using raw connection to peer\n'))
        given = {name.lower() for name, _value in action.headers}
        headers = action.headers + [
            header
            for header in self._headers(action.body)
            if header[0] not in given
        ]
        answer = connection.send(
            self._ui,
            self._url,
            action.method,
            self._base + action.path,
            headers,
            action.body,
        )
        body = answer.body.read_all()
        answer.close()
        kind = answer.headers.get(b'content-type')
        if kind == cbor.MEDIA_TYPE:
            values = cbor.decode_all(body)
            self._ui.write(
                _(b'cbor> %s\n')
                % stringutil.pprint(values, bprefix=True, indent=2)
            )

    def _command_url(self, permission: bytes, name: bytes) -> bytes:
        half = b'rw' if permission == b'push' else b'ro'
        return b'%sapi/%s/%s/%s' % (self._base, self._api.name, half, name)

    def _headers(self, body: bytes | None) -> list[tuple[bytes, bytes]]:
        """Return the headers that every request has."""
        headers = []
        if body is not None:
            headers.append((b'content-length', b'%d' % len(body)))
        headers.append((b'host', self._host))
        if self._url.user:
            login = b'%s:%s' % (self._url.user, self._url.passwd or b'')
            value = b'Basic ' + base64.b64encode(login)
            headers.append((b'authorization', value))
        return headers

    def _exchange(
        self, url: bytes, commands: list[script.CommandAction]
    ) -> list[list[Any]]:
        """Run commands in one request; return the values of each response."""
        body = self._request_body(commands)
        mediatype = self._api.framing.mediatype
        headers = [(b'accept', mediatype), (b'content-type', mediatype)]
        headers += self._headers(body)
        headers.append((b'user-agent', _USER_AGENT))
        answer = connection.send(
            self._ui, self._url, b'POST', url, headers, body
        )
        try:
            kind = answer.headers.get(b'content-type')
            if answer.status != 200 or kind != mediatype:
                answer.body.read_all()
                raise error.Abort(_(b'HTTP Error %s') % answer.reason)
            try:
                found = answers.read_responses(
                    self._ui, answer.body, self._api.framing
                )
            except ProtocolError as e:
                raise error.Abort(
                    _(b'invalid response: %s') % e.message
                ) from None
        finally:
            answer.close()
        return [found.get(i, []) for i in range(1, 2 * len(commands), 2)]

    def _request_body(self, commands: list[script.CommandAction]) -> bytes:
        """Return the wire frames of a request.

        Empty arguments are left out, as in recorded exchanges.
        """
        parts: list[bytes] = []

        def add(requestid: int, kind: int, flags: int, payload: bytes) -> None:
            begin = 0 if parts else frames.STREAM_BEGIN
            parts.append(
                frames.build(requestid, 1, begin, kind, flags, payload)
            )

        settings = self._api.framing.sender_settings
        if settings is not None:
            payload = requests.build_settings(self._encodings)
            add(1, settings, frames.EOS, payload)
        for number, command in enumerate(commands):
            request: dict[bytes, Any] = {b'name': command.name}
            if command.args:
                request[b'args'] = command.args
            message = cbor.encode(request)
            for flags, payload in requests.request_frames(message):
                add(2 * number + 1, frames.COMMAND_REQUEST, flags, payload)
        return b''.join(parts)
