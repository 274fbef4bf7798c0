# SPDX-License-Identifier: GPL-2.0-or-later
"""From a received command to the frames of its response.

Checks arguments, asks the cache, runs the command, and turns what goes wrong
into the protocol's errors. Knows repositories and commands, not HTTP.
Permissions have been checked before anything here runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from mercurial import error
from mercurial.utils import stringutil

from ..cache import factory, service, view
from ..proto import events, streams
from ..proto.errors import CommandError, InternalError
from ..proto.server import ServerConnection
from . import metrics
from .commands.registry import Command, Request

# Blackbox event of everything that concerns the cache.
CACHE_EVENT = b'wireprotov2-cache'

# What Mercurial raises with a message for users.
_TOLD = (error.Error, error.RepoError, error.LockError, error.StorageError)

# Takes a line for the server's log and whether a traceback belongs to it.
Report = Callable[[bytes, bool], None]


@dataclass(frozen=True)
class _Call:
    """A command about to run, its arguments checked."""

    command: Command
    request: Request
    args: dict[bytes, Any]

    def run(self, encoding: bytes, report: Report) -> Iterator[bytes]:
        """Yield the response's body, encoded."""
        kwargs = {k.decode('ascii'): v for k, v in self.args.items()}
        produced = guarded(
            lambda: self.command.run(self.request, **kwargs),
            self.command.name,
            report,
        )
        return streams.encoded(produced, encoding)


def guarded(
    produce: Callable[[], Iterable[bytes]], name: bytes, report: Report
) -> Iterator[bytes]:
    """Yield what ``produce`` returns; raise protocol errors alone.

    A client learns the message of what Mercurial says to users, and of
    anything unexpected only that it happened: the rest is in the log.
    """
    try:
        yield from produce()
    except (CommandError, InternalError):
        raise
    except _TOLD as e:
        # hooks that refuse, a lock that is held, damaged storage
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
    report: Report,
) -> Iterator[bytes]:
    """Yield the frames that answer one command."""
    requestid = event.requestid
    try:
        call = _Call(command, request, command.check_args(event.args))
        if event.data is not None:
            raise CommandError(b'command takes no data: %s', (command.name,))
        if command.outgoing:
            _run_hooks(request, report)
        encoding = b'identity' if command.compressed else conn.encoding
        answer = _answer(call, encoding, event.redirect, report)
    except (CommandError, InternalError) as e:
        metrics.count_error(request.repo, request.api.name, command.name)
        yield from conn.fail(requestid, e)
        return
    if isinstance(answer, service.Redirect):
        location = events.Location(
            answer.url,
            answer.mediatype,
            answer.size,
            answer.fullhashes or None,
        )
        yield from conn.redirect(requestid, location)
        return
    body, encoding = answer
    yield from conn.respond(requestid, body, encoding, command.data_flags)


def _run_hooks(request: Request, report: Report) -> None:
    """Let ``preoutgoing`` hooks refuse, whether a response is cached or not."""
    try:
        request.repo.hook(b'preoutgoing', throw=True, source=b'serve')
    except error.Abort as e:
        report(b'preoutgoing: %s' % e.message, False)
        raise CommandError(b'%s', (e.message,)) from None


def _answer(
    call: _Call,
    encoding: bytes,
    redirect: events.AcceptedRedirects | None,
    report: Report,
) -> service.Redirect | tuple[Iterable[bytes | memoryview], bytes]:
    """Return a body with its encoding, or where to get it."""
    request = call.request
    cache = factory.for_repo(request.repo, lambda line: report(line, False))
    if cache is None:
        return call.run(encoding, report), encoding
    wanted = None
    if redirect is not None and request.api.redirects:
        wanted = {
            b'targets': list(redirect.targets),
            b'hashes': list(redirect.hashes),
            b'fullhashes': redirect.fullhashes,
        }
        if cache.wants_identity(wanted):
            encoding = b'identity'
    state = view.key_state(
        request.repo,
        api=request.api.name,
        framing=request.api.framing.mediatype,
        command=call.command.name,
        args=call.args,
        encoding=encoding,
        user=request.user,
    )
    key = None if state is None else cache.key(state)
    if key is None:
        return call.run(encoding, report), encoding
    ui = request.repo.ui

    def log(message: bytes, *args: Any) -> None:
        ui.log(CACHE_EVENT, message, *args)
        metrics.count_cache(request.repo, message)

    log(b'cacher constructed for %s\n', call.command.name)
    found = cache.respond(
        key,
        lambda: call.run(encoding, report),
        log=log,
        redirect=wanted,
    )
    if isinstance(found, service.Redirect):
        return found
    return found.chunks, encoding
