# SPDX-License-Identifier: GPL-2.0-or-later
"""The messages of a server as CBOR: statuses, errors, redirects, output.

Builds what ``server`` sends and reads what ``client`` received. These two
handle streams, states and the values of a response. Messages for people are
formatted here as well, because the protocol defines what they may contain. See
``hg help internals.wireprotocolrpc``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import cbor, events
from .errors import CBORError, CommandError, InternalError

#: Limits for a wire frame whose payload is one small value. Honest ones are
#: below 1 kB. Without limits, a frame of 64 kB could take much more memory than
#: that.
SMALL_LIMITS = cbor.Limits(depth=8, items=4096, size=64 * 1024)

#: The payload of the wire frame that precedes the values of a response.
STATUS_OK = cbor.encode({b'status': b'ok'})

#: An error must fit into one wire frame. So it quotes at most this many bytes
#: of an argument that a client sent, and at most this many arguments.
MAX_ARGUMENT = 1024
MAX_ARGUMENTS = 8

_LOCATION_FIELDS = (
    'size',
    'fullhashes',
    'fullhashseed',
    'serverdercerts',
    'servercadercerts',
)


# what a server sends


def build_rejection(error: CommandError) -> bytes:
    """Return the status of a command that is rejected."""
    details: dict[bytes, Any] = {b'message': error.message}
    if error.messageargs:
        details[b'args'] = _clipped(error.messageargs)
    return cbor.encode({b'status': b'error', b'error': details})


def build_redirect(location: events.Location) -> bytes:
    """Return the status of a command that is answered elsewhere."""
    where: dict[bytes, Any] = {
        b'url': location.url,
        b'mediatype': location.mediatype,
    }
    for name in _LOCATION_FIELDS:
        value = getattr(location, name)
        if value is not None:
            where[name.encode('ascii')] = value
    return cbor.encode({b'status': b'redirect', b'location': where})


def build_error(error: CommandError | InternalError) -> bytes:
    """Return the payload of an error frame."""
    atom: dict[bytes, Any] = {b'msg': error.message}
    kind = b'server'
    if isinstance(error, CommandError):
        kind = b'command'
        if error.messageargs:
            atom[b'args'] = _clipped(error.messageargs)
    return cbor.encode({b'type': kind, b'message': [atom]})


def _clipped(args: tuple[bytes, ...]) -> list[bytes]:
    return [arg[:MAX_ARGUMENT] for arg in args[:MAX_ARGUMENTS]]


# what a client receives


def read_status(value: Any) -> bytes:
    """Return the name of a response's status. Raises ``CBORError``."""
    status: bytes = _field(value, b'status', bytes, required=True)
    return status


def read_location(value: Any) -> events.Location:
    """Return where a redirect leads to. Raises ``CBORError``."""
    return events.Location(
        url=_field(value, b'url', bytes, required=True),
        mediatype=_field(value, b'mediatype', bytes, required=True),
        size=_field(value, b'size', int),
        fullhashes=_pairs(value),
        fullhashseed=_field(value, b'fullhashseed', bytes),
        serverdercerts=_bytes_list(value, b'serverdercerts') or None,
        servercadercerts=_bytes_list(value, b'servercadercerts') or None,
    )


def read_error(requestid: int, payload: bytes) -> events.CommandFailed:
    """Return what the payload of an error frame says. Raises ``CBORError``."""
    problem = _one_value(payload)
    kind = _field(problem, b'type', bytes, required=True)
    return events.CommandFailed(requestid, kind, read_error_atoms(problem))


def read_text(requestid: int, payload: bytes) -> events.TextReceived:
    """Return the output in a text frame. Raises ``CBORError``."""
    return events.TextReceived(requestid, _atoms(_one_value(payload)))


def read_progress(requestid: int, payload: bytes) -> events.ProgressReceived:
    """Return the report in a progress frame. Raises ``CBORError``."""
    value = _one_value(payload)
    return events.ProgressReceived(
        requestid,
        topic=_field(value, b'topic', bytes, required=True),
        pos=_field(value, b'pos', int, required=True),
        total=_field(value, b'total', int, required=True),
        label=_field(value, b'label', bytes),
        item=_field(value, b'item', bytes),
    )


def read_error_atoms(problem: Any) -> tuple[events.Atom, ...]:
    """Return the message of an error. Raises ``CBORError``.

    The specification requires a list of atoms. Every known server that rejects
    a command sends one text with its arguments beside it instead. Both forms
    are read.
    """
    if not isinstance(problem, dict):
        raise CBORError(b'error is missing or of a wrong type')
    message = problem.get(b'message')
    if isinstance(message, bytes):
        return (events.Atom(message, _bytes_list(problem, b'args')),)
    return _atoms(message)


def _one_value(payload: bytes) -> Any:
    values = cbor.decode_all(payload, SMALL_LIMITS)
    if len(values) != 1:
        raise CBORError(b'frame does not hold one value')
    return values[0]


def _field(value: Any, key: bytes, kind: type, required: bool = False) -> Any:
    """Return ``value[key]`` if it is None or exactly of type ``kind``."""
    if not isinstance(value, dict):
        raise CBORError(b'%s belongs into a map' % key)
    item = value.get(key)
    if item is None and not required:
        return None
    # Not isinstance: True and False are integers to Python, but not to CBOR.
    if type(item) is not kind:
        raise CBORError(b'%s is missing or of a wrong type' % key)
    return item


def _bytes_list(value: Any, key: bytes) -> tuple[bytes, ...]:
    items = _field(value, key, list)
    if items is None:
        return ()
    if not all(isinstance(item, bytes) for item in items):
        raise CBORError(b'%s holds more than bytestrings' % key)
    return tuple(items)


def _pairs(value: Any) -> tuple[tuple[bytes, bytes], ...] | None:
    hashes = _field(value, b'fullhashes', list)
    if hashes is None:
        return None
    for pair in hashes:
        if not (
            isinstance(pair, list)
            and len(pair) == 2
            and all(isinstance(item, bytes) for item in pair)
        ):
            raise CBORError(b'fullhashes must hold pairs of bytestrings')
    return tuple((name, digest) for name, digest in hashes)


def _atoms(value: Any) -> tuple[events.Atom, ...]:
    if not isinstance(value, list):
        raise CBORError(b'a message must be an array')
    return tuple(
        events.Atom(
            _field(atom, b'msg', bytes, required=True),
            _bytes_list(atom, b'args'),
            _bytes_list(atom, b'labels'),
        )
        for atom in value
    )


# messages for people


def format_atoms(atoms: Sequence[events.Atom]) -> bytes:
    """Return a message as one text with its arguments filled in.

    Only ``%s`` and ``%%`` have a meaning. A ``%s`` without an argument stays as
    it is. Control characters are escaped, since the text goes to a terminal.
    """
    return b''.join(_format(atom) for atom in atoms)


def _format(atom: events.Atom) -> bytes:
    parts = atom.message.split(b'%')
    out = [_printable(parts[0])]
    args = list(atom.args)
    # Every part but the first follows a "%". After an escaped one, the next
    # part is plain text.
    skip = False
    for index, part in enumerate(parts[1:], 1):
        if skip:
            skip = False
            out.append(_printable(part))
        elif part.startswith(b's') and args:
            out.append(_printable(args.pop(0)) + _printable(part[1:]))
        elif not part and index < len(parts) - 1:
            out.append(b'%')
            skip = True
        else:
            out.append(b'%' + _printable(part))
    return b''.join(out)


# Newline and tab stay.
_ESCAPES = {
    code: f'\\x{code:02x}' for code in (*range(32), 127) if code not in (9, 10)
}


def _printable(text: bytes) -> bytes:
    try:
        decoded = text.decode('utf-8')
    except UnicodeDecodeError:
        decoded = text.decode('ascii', 'backslashreplace')
    return decoded.translate(_ESCAPES).encode('utf-8')
