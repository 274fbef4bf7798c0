# SPDX-License-Identifier: GPL-2.0-or-later
"""Answer a received command with the wire frames of its response.

Checks the arguments, asks the cache, runs the command, and turns what goes
wrong into errors of the protocol. Knows repositories and commands, not HTTP.
Permissions have been checked before anything here runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from mercurial import error
from mercurial.utils import stringutil

from ..cache import factory, keys, service, state
from ..cache.events import CacheAsked
from ..proto import events, streams
from ..proto.errors import CommandError, InternalError
from ..proto.server import ServerConnection
from . import load
from .commands.registry import Command, Request
from .observer import ErrorAnswered, RequestObserver

# Exceptions of Mercurial that have a message for users.
_TOLD = (error.Error, error.RepoError, error.LockError, error.StorageError)

# Takes a line for the log of the server, and whether a traceback belongs to it.
Report = Callable[[bytes, bool], None]

# The body of a response, encoded, and its content encoding.
_Encoded = tuple[Iterable[bytes | memoryview], bytes]


@dataclass(frozen=True)
class _Call:
    """A command about to run, after its arguments have been checked."""

    command: Command
    request: Request
    args: dict[bytes, Any]
    permit: load.Permit
    report: Report
    observe: RequestObserver

    def run(self, encoding: bytes) -> Iterator[bytes]:
        """Return the encoded body of the response, which is yet to compute.

        Raises ``load.Refused``.
        """
        if self.command.quick or not self.command.outgoing:
            return self._run(encoding)
        self.permit.take()
        return self._permitted(self._run(encoding))

    def _permitted(self, produced: Iterator[bytes]) -> Iterator[bytes]:
        """Yield what is computed; then release the slot."""
        try:
            yield from produced
        finally:
            self.permit.computed()

    def _run(self, encoding: bytes) -> Iterator[bytes]:
        kwargs = {k.decode('ascii'): v for k, v in self.args.items()}
        produced = guarded(
            lambda: self.command.run(self.request, **kwargs),
            self.command.name,
            self.report,
        )
        return streams.encoded(produced, encoding)

    def key_state(self, encoding: bytes) -> keys.KeyState | None:
        """Return what the response depends on; None if it is not cached."""
        if self.command.key_state is not None:
            return self.command.key_state(self.request, self.args)
        api = self.request.api
        return state.key_state(
            self.request.requester,
            api=api.name,
            framing=api.framing.mediatype,
            command=self.command.name,
            args=self.args,
            encoding=encoding,
        )

    def answer(
        self, encoding: bytes, redirect: events.AcceptedRedirects | None
    ) -> _Encoded | events.Location:
        """Return the body of the response, or where the client gets it."""
        found = self._answer(encoding, redirect)
        shorten = self.command.shorten
        if shorten is None or isinstance(found, events.Location):
            return found
        body, encoding = found
        return shorten(self.args, body), encoding

    def _answer(
        self, encoding: bytes, redirect: events.AcceptedRedirects | None
    ) -> _Encoded | events.Location:
        """Return the whole response, or where the client gets it."""
        request = self.request
        cache = factory.for_repo(
            request.repo, lambda line: self.report(line, False)
        )
        if cache is None:
            return self.run(encoding), encoding
        if not request.api.redirects:
            redirect = None
        if cache.may_redirect(redirect):
            encoding = b'identity'
        depends_on = self.key_state(encoding)
        key = None if depends_on is None else cache.key(depends_on)
        if key is None:
            return self.run(encoding), encoding
        self.observe(CacheAsked(self.command.name))
        found = cache.respond(
            key,
            lambda: self.run(encoding),
            self.observe,
            redirect,
            self.command.lasting,
        )
        if isinstance(found, service.Body):
            return found.chunks, encoding
        return found


def guarded(
    produce: Callable[[], Iterable[bytes]], name: bytes, report: Report
) -> Iterator[bytes]:
    """Yield what ``produce`` returns, and turn exceptions into protocol errors.

    The client receives the messages that Mercurial has for users. Of an
    unexpected exception it learns only that there was one; the log has the
    details.
    """
    try:
        yield from produce()
    except (CommandError, InternalError):
        raise
    except _TOLD as e:
        # A hook refuses, a lock is held, the storage is damaged.
        message = getattr(e, 'message', None) or stringutil.forcebytestr(e)
        report(b'%s: %s' % (name, message), False)
        raise CommandError(b'%s', (message,)) from None
    except Exception as e:
        report(
            b'%s: %s' % (name, repr(e).encode('ascii', 'backslashreplace')),
            True,
        )
        raise InternalError(b'internal error in command ' + name) from None


def respond(
    conn: ServerConnection,
    event: events.CommandReceived,
    command: Command,
    request: Request,
    permit: load.Permit,
    report: Report,
) -> Iterator[bytes]:
    """Yield the wire frames that answer one command.

    Raises ``load.Refused`` before the first of them.
    """
    observe = RequestObserver(request.repo)
    frames = _frames(conn, event, command, request, permit, report, observe)
    return observe.timed(request.api.name, command.name, frames)


def _frames(
    conn: ServerConnection,
    event: events.CommandReceived,
    command: Command,
    request: Request,
    permit: load.Permit,
    report: Report,
    observe: RequestObserver,
) -> Iterator[bytes]:
    requestid = event.requestid
    try:
        args = command.check_args(event.args)
        call = _Call(command, request, args, permit, report, observe)
        if event.data is not None:
            raise CommandError(b'command takes no data: %s', (command.name,))
        if command.outgoing:
            _run_hooks(request, report)
        encoding = b'identity' if command.compressed else conn.encoding
        answer = call.answer(encoding, event.redirect)
    except (CommandError, InternalError) as e:
        observe(ErrorAnswered(request.api.name, command.name))
        yield from conn.fail(requestid, e)
        return
    if isinstance(answer, events.Location):
        yield from conn.redirect(requestid, answer)
        return
    body, encoding = answer
    failed = ErrorAnswered(request.api.name, command.name)
    yield from conn.respond(
        requestid,
        _noting_errors(body, lambda: observe(failed)),
        encoding,
        command.data_flags,
    )


def _noting_errors(
    body: Iterable[bytes | memoryview], note: Callable[[], None]
) -> Iterator[bytes | memoryview]:
    """Yield the body of a response; call ``note`` if that fails."""
    try:
        yield from body
    except (CommandError, InternalError):
        note()
        raise


def _run_hooks(request: Request, report: Report) -> None:
    """Run the ``preoutgoing`` hooks, which may refuse.

    They run for cached responses as well. Raises ``CommandError``.
    """
    try:
        request.repo.hook(b'preoutgoing', throw=True, source=b'serve')
    except error.Abort as e:
        report(b'preoutgoing: %s' % e.message, False)
        raise CommandError(b'%s', (e.message,)) from None
