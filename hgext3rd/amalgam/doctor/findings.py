# SPDX-License-Identifier: GPL-2.0-or-later
"""What checks are given, and what they return.

Only types: nothing here looks at anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import os

    from .asking import Site

OK = b'ok'
WARNING = b'warning'
PROBLEM = b'problem'


class Finding(NamedTuple):
    """One result of a check: a level, what was found, and what to change."""

    level: bytes
    text: bytes
    advice: bytes = b''


class User(NamedTuple):
    """A user: the name for messages, and what the system knows it by."""

    name: bytes
    uid: int
    gids: frozenset[int]

    def may(self, state: os.stat_result, wanted: int) -> bool:
        """Return whether the user has the permissions ``wanted`` (bits rwx)."""
        if not self.uid:
            return True
        mode = state.st_mode
        if state.st_uid == self.uid:
            granted = mode >> 6
        elif state.st_gid in self.gids:
            granted = mode >> 3
        else:
            granted = mode
        return granted & wanted == wanted


class Examined(NamedTuple):
    """What is looked at.

    ``user`` is the user that serves, ``site`` the address of the repository on
    the server, or None if it is not known. ``acting`` says that this process has
    the permissions of that user, so that it may write what the server writes.
    ``needed`` are the names of modules that requests import.
    """

    ui: Any
    repo: Any
    user: User
    acting: bool
    site: Site | None
    needed: Sequence[str] = ()


class Check(NamedTuple):
    """A check: its name, what it looks at, and the function that looks.

    The function yields findings; none if the check does not apply. It may raise
    anything. With ``once``, the result is the same for all repositories of a
    server.
    """

    name: bytes
    about: bytes
    look: Callable[[Examined], Iterable[Finding]]
    once: bool = False


def ok(text: bytes) -> Finding:
    """Return a finding that needs no change."""
    return Finding(OK, text)


def warning(text: bytes, advice: bytes) -> Finding:
    """Return a finding that may cause trouble."""
    return Finding(WARNING, text, advice)


def problem(text: bytes, advice: bytes) -> Finding:
    """Return a finding that causes trouble."""
    return Finding(PROBLEM, text, advice)
