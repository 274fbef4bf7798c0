# SPDX-License-Identifier: GPL-2.0-or-later
"""Exchanges of version 2 inside a command of version 1, as ssh carries them.

A connection over ssh is used for one command after the other, so the end of each
answer must be known. An answer is a line with the outcome, then the wire frames
of the responses in blocks: a line with the size in decimal, and that many
bytes. A block of size 0 ends it. No I/O here.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping

from .errors import FrameError

#: The command of version 1, and the capability that announces it. The value of
#: the capability lists the versions of all this, separated by commas.
COMMAND = b'wireprotov2'
CAPABILITY = b'wireprotov2'

#: Clones and pulls in segments.
SEGMENTS = b'1'
#: Those without content of files, of limited depth, and narrow ones, too.
PARTIAL = b'2'
VERSIONS = (SEGMENTS, PARTIAL)

#: The API that servers of this version answer.
API = b'exp-http-v2-0003'

#: The commands of it that they answer, and their arguments. A description in the
#: capability would be read at every connection, and most have no use for it.
_FOR_SEGMENTS: Mapping[bytes, frozenset[bytes]] = {
    b'capabilities': frozenset(),
    b'changesetdata': frozenset([b'fields', b'revisions']),
    b'heads': frozenset([b'publiconly']),
    b'known': frozenset([b'nodes']),
    b'segmentdata': frozenset([b'name', b'offset', b'outline', b'sha256']),
    b'segments': frozenset([b'known']),
}

#: The same by version.
COMMANDS: Mapping[bytes, Mapping[bytes, frozenset[bytes]]] = {
    SEGMENTS: _FOR_SEGMENTS,
    PARTIAL: {
        **_FOR_SEGMENTS,
        b'filedata': frozenset([b'fields', b'haveparents', b'nodes', b'path']),
        b'filesdata': frozenset(
            [b'fields', b'haveparents', b'pathfilter', b'revisions']
        ),
        b'listkeys': frozenset([b'namespace']),
        b'manifestdata': frozenset(
            [b'fields', b'haveparents', b'nodes', b'revisions', b'tree']
        ),
    },
}

#: The argument of the command: the wire frames of the request.
ARGUMENT = b'request'

#: The most bytes of a line.
MAX_LINE = 1024

#: The most bytes of a block that a client accepts. Servers send wire frames one
#: by one, and a wire frame has up to 16 MB.
MAX_BLOCK = 17 * 1024 * 1024


class TunnelOutcome(enum.Enum):
    """What the first line of an answer says."""

    #: The wire frames of the responses follow.
    ANSWERED = b'ok'
    #: The client may ask again in the number of seconds that follows.
    BUSY = b'busy'
    #: The request is wrong; a reason follows.
    REFUSED = b'refused'


def answer(frames: Iterable[bytes]) -> Iterator[bytes]:
    """Yield an answer with the wire frames of the responses."""
    yield TunnelOutcome.ANSWERED.value + b'\n'
    for frame in frames:
        if frame:
            yield b'%d\n' % len(frame)
            yield frame
    yield b'0\n'


def busy(seconds: int) -> bytes:
    """Return the answer that asks the client to try again later."""
    return b'%s %d\n' % (TunnelOutcome.BUSY.value, seconds)


def refusal(reason: bytes) -> bytes:
    """Return the answer to a wrong request; ``reason`` is one line."""
    most = MAX_LINE - len(TunnelOutcome.REFUSED.value) - 2
    return b'%s %s\n' % (TunnelOutcome.REFUSED.value, reason[:most])


class AnswerReader:
    """Reads one answer.

    ``outcome`` is None until the first line has arrived; ``detail`` is what the
    line says besides. ``done`` says that the answer has ended.
    """

    def __init__(self) -> None:
        self.outcome: TunnelOutcome | None = None
        self.detail = b''
        self.done = False
        self._line = b''
        # What is left of the current block.
        self._left = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the bytes of wire frames in ``data``.

        Raises ``FrameError`` for anything that is not an answer, or that comes
        after it.
        """
        found: list[bytes] = []
        position = 0
        while position < len(data):
            if self.done:
                raise FrameError(b'data after the end of the answer')
            if self._left:
                part = data[position : position + self._left]
                found.append(part)
                position += len(part)
                self._left -= len(part)
                continue
            end = data.find(b'\n', position)
            self._line += data[position : end if end >= 0 else len(data)]
            if len(self._line) > MAX_LINE:
                raise FrameError(b'a line of the answer is too long')
            if end < 0:
                break
            line, self._line = self._line, b''
            position = end + 1
            self._on_line(line)
        return found

    def _on_line(self, line: bytes) -> None:
        if self.outcome is None:
            word, _space, self.detail = line.partition(b' ')
            try:
                self.outcome = TunnelOutcome(word)
            except ValueError:
                raise FrameError(b'the answer has no outcome') from None
            self.done = self.outcome is not TunnelOutcome.ANSWERED
            return
        if not line.isdigit() or int(line) > MAX_BLOCK:
            raise FrameError(b'a block of the answer has no valid size')
        self._left = int(line)
        self.done = not self._left
