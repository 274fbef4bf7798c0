# SPDX-License-Identifier: GPL-2.0-or-later
"""The language of ``hg debugwireprotov2``: text to actions.

An action is a line without indentation and the indented lines after it. The
language is that of Mercurial's ``debugwireproto``, as far as it applies to
HTTP. Nothing is sent here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mercurial import error
from mercurial.i18n import _
from mercurial.utils import stringutil

from ..proto import cbor, frames

_HEADER = re.compile(rb'([A-Za-z0-9_-]+): (.*)$')


@dataclass
class CommandAction:
    """Run a command."""

    name: bytes
    args: dict[bytes, Any]


@dataclass
class BatchAction:
    """Run several commands in one request."""

    commands: list[CommandAction] = field(default_factory=list)


@dataclass
class RequestAction:
    """Send an HTTP request exactly as it is written."""

    method: bytes
    path: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes | None


Action = CommandAction | BatchAction | RequestAction


def _blocks(lines: Iterable[bytes]) -> Iterator[tuple[bytes, list[bytes]]]:
    """Yield the first line and the indented lines of each action."""
    title = None
    block: list[bytes] = []
    for line in lines:
        line = line.rstrip()
        if not line or line.startswith(b'#'):
            continue
        if line[:1].isspace():
            if title is None:
                raise error.InputError(_(b'indented line outside of a block'))
            block.append(line.lstrip())
            continue
        if title is not None:
            yield title, block
        title, block = line, []
    if title is not None:
        yield title, block


def parse(lines: Iterable[bytes], framing: frames.Framing) -> Iterator[Action]:
    """Yield the actions of a script.

    Raises ``InputError`` for an invalid script.
    """
    batch: BatchAction | None = None
    for title, block in _blocks(lines):
        word, _space, rest = title.partition(b' ')
        if word == b'command' and rest:
            command = CommandAction(rest, _arguments(block))
            if batch is None:
                yield command
            else:
                batch.commands.append(command)
        elif title == b'batchbegin':
            if batch is not None:
                raise error.InputError(_(b'nested batchbegin not allowed'))
            batch = BatchAction()
        elif title == b'batchsubmit':
            if batch is None:
                raise error.InputError(_(b'batchsubmit without batchbegin'))
            yield batch
            batch = None
        elif word == b'httprequest':
            yield _request(rest, block, framing)
        else:
            raise error.InputError(_(b'unknown action: %s') % title)
    if batch is not None:
        raise error.InputError(_(b'batchbegin without batchsubmit'))


def _literal(value: bytes) -> Any:
    """Return the value of an argument."""
    try:
        if value.startswith(b'eval:'):
            return stringutil.evalpythonliteral(value[5:])
        return stringutil.unescapestr(value)
    except (SyntaxError, ValueError):
        raise error.InputError(_(b'invalid value: %s') % value) from None


def _arguments(block: list[bytes]) -> dict[bytes, Any]:
    args = {}
    for line in block:
        key, _space, value = line.partition(b' ')
        args[key] = _literal(value)
    return args


def _request(
    rest: bytes, block: list[bytes], framing: frames.Framing
) -> RequestAction:
    method, _space, path = rest.partition(b' ')
    if not path:
        raise error.InputError(
            _(b'invalid httprequest: expected "httprequest METHOD PATH"')
        )
    headers = []
    body: list[bytes] = []
    for line in block:
        match = _HEADER.match(line)
        if match:
            headers.append((match.group(1), match.group(2)))
        elif line.startswith(b'BODYFILE '):
            with open(line[9:], 'rb') as fh:
                body.append(fh.read())
        elif line.startswith(b'frame '):
            body.append(_frame(line[6:], framing))
        else:
            raise error.InputError(
                _(b'unknown argument to httprequest: %s') % line
            )
    return RequestAction(
        method, path, headers, b''.join(body) if body else None
    )


def _flags(text: bytes, names: dict[bytes, int]) -> int:
    """Return flags given as names or numbers, joined by ``|``."""
    value = 0
    for name in text.split(b'|'):
        value |= names[name] if name in names else int(name)
    return value


def _frame(text: bytes, framing: frames.Framing) -> bytes:
    """Return the wire frame that a line describes.

    The line has the request id, stream id, stream flags, type, flags and
    payload. Types and flags are names or numbers. A payload ``cbor:VALUE`` is
    encoded; any other is the inside of a bytes literal.
    """
    try:
        request, stream, streamflags, kind, flags, payload = text.split(b' ', 5)
        types = {name: t for t, (name, _flagnames) in framing.types.items()}
        typeid = types[kind] if kind in types else int(kind)
        flagnames = framing.types.get(typeid, (b'', {}))[1]
        if payload.startswith(b'cbor:'):
            data = cbor.encode(stringutil.evalpythonliteral(payload[5:]))
        else:
            data = stringutil.unescapestr(payload)
        return frames.build(
            int(request),
            int(stream),
            _flags(
                streamflags,
                {n: v for v, n in frames.STREAM_FLAG_NAMES.items()},
            ),
            typeid,
            _flags(flags, {n: v for v, n in flagnames.items()}),
            data,
        )
    except (ValueError, SyntaxError):
        raise error.InputError(_(b'invalid frame: %s') % text) from None
