# SPDX-License-Identifier: GPL-2.0-or-later
"""Which files survive a power failure, at any moment of a program with threads.

``strace`` lists when the system calls of a program begin and end. A sync
covers what ended before it began, and counts when it ends. Nothing is promised
about all the rest. So a file survives if its content was synced, and then its
name in its directory and the names of all directories above that the program
has made.
"""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

CALLS = 'openat,write,pwrite64,rename,mkdir,fsync,fdatasync'

_LINE = re.compile(r'(\d+) +(?:<\.\.\. (\w+) resumed>)?(.*)')
_CALL = re.compile(r'(\w+)\((.*)')
_RESULT = re.compile(r'.*\) += (-?\d+)')
_FD = re.compile(r'\d+<([^>]*)>')
_NAME = re.compile(r'"([^"]*)"')


class Event(NamedTuple):
    """The beginning or the end of a system call of the thread ``pid``.

    ``text`` has all arguments at the end of a call; ``result`` is None at its
    beginning.
    """

    pid: str
    name: str
    text: str
    result: int | None


def trace(code: str, arguments: list[str], log: pathlib.Path) -> list[Event]:
    """Run Python code, and return the events of its system calls."""
    command = ['strace', '-f', '-y', '-s', '64', '-o', str(log)]
    command += ['-e', f'trace={CALLS}', sys.executable, '-B', '-c', code]
    subprocess.run(
        [*command, *arguments],
        cwd=pathlib.Path(__file__).parent.parent.parent,
        check=True,
    )
    with open(log, encoding='utf-8', errors='replace') as lines:
        return list(_events(lines))


def _events(lines: Iterator[str]) -> Iterator[Event]:
    begun: dict[str, tuple[str, str]] = {}
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            continue
        pid, resumed, rest = match.groups()
        if resumed is None:
            call = _CALL.match(rest)
            if call is None:
                continue
            name, text = call.groups()
            yield Event(pid, name, text, None)
            if '<unfinished ...>' in text:
                begun[pid] = name, text.partition('<unfinished')[0]
                continue
        else:
            name, text = begun.pop(pid)
            text += rest
        result = _RESULT.match(text)
        if result is not None:
            yield Event(pid, name, text, int(result[1]))


@dataclass
class Node:
    """A file or directory that the program has made."""

    written: int = 0
    synced: int = 0
    #: the names in a directory: those there are, and those that survive
    names: dict[str, Node] = field(default_factory=dict)
    lasting: dict[str, Node] = field(default_factory=dict)


class Tree:
    """The files below ``root``, which exists already."""

    def __init__(self, root: pathlib.Path) -> None:
        self._root = str(root)
        self._top = Node()
        # What the syncs that run will have done when they end, by thread.
        self._running: dict[str, list[tuple[Node, int, dict[str, Node]]]] = {}

    def _node(self, path: str) -> Node | None:
        """Return the file at a path now, or None if it is not below."""
        if path != self._root and not path.startswith(self._root + '/'):
            return None
        node: Node | None = self._top
        for name in path[len(self._root) :].strip('/').split('/'):
            if node is not None and name:
                node = node.names.get(name)
        return node

    def _directory(self, path: str) -> Node | None:
        return self._node(os.path.dirname(path))

    def apply(self, event: Event) -> None:
        """Note an event."""
        if event.name in ('fsync', 'fdatasync'):
            self._sync(event)
        elif event.result is not None and event.result >= 0:
            self._change(event)

    def _change(self, event: Event) -> None:
        if event.name in ('write', 'pwrite64'):
            found = _FD.match(event.text)
            node = self._node(found[1]) if found else None
            if node is not None and event.result is not None:
                node.written += event.result
            return
        names = _NAME.findall(event.text)
        if event.name == 'openat' and 'O_CREAT' not in event.text:
            return
        directory = self._directory(names[-1])
        if directory is None:
            return
        name = os.path.basename(names[-1])
        if event.name == 'rename':
            before = self._directory(names[0])
            assert before is not None
            directory.names[name] = before.names.pop(os.path.basename(names[0]))
        else:
            directory.names.setdefault(name, Node())

    def _sync(self, event: Event) -> None:
        if event.result is None:
            self._running[event.pid] = [
                (node, node.written, dict(node.names))
                for node in self._covered(event)
            ]
            return
        covered = self._running.pop(event.pid)
        if event.result != 0:
            return
        for node, written, names in covered:
            node.synced = max(node.synced, written)
            node.lasting = names

    def _covered(self, event: Event) -> list[Node]:
        found = _FD.match(event.text)
        node = self._node(found[1]) if found else None
        return [] if node is None else [node]

    def survives(self, path: pathlib.Path) -> bool:
        """Return whether a file is there, complete, after a failure now."""
        node: Node | None = self._top
        for name in path.relative_to(self._root).parts:
            node = node.lasting.get(name) if node is not None else None
        return node is not None and node.synced == node.written > 0

    def named(self) -> Iterator[tuple[str, Node]]:
        """Yield all files that a failure now might leave under a name."""
        for node in _below(self._top):
            yield from (*node.lasting.items(), *node.names.items())


def _below(node: Node) -> Iterator[Node]:
    yield node
    for child in node.names.values():
        yield from _below(child)
