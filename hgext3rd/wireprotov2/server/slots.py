# SPDX-License-Identifier: GPL-2.0-or-later
"""Slots that the processes of one machine share, and a queue for them.

A slot is a lock on a file; so is a place in the queue. The system releases the
locks of a process that ends, however it ends. Nothing here knows requests or
repositories.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

#: Seconds between two looks at the queue for each place in it, and the most.
POLL = 0.01
MOST_POLL = 0.25

#: Files in the folder: the lock under which the queue changes, and prefixes.
_TURN = b'turn'
_SLOT = b'slot-'
_PLACE = b'place-'

#: The locks that this process holds, by file descriptor.
_held: set[int] = set()


def _after_fork() -> None:
    """Leave the locks to the parent alone: a lock ends with its last holder."""
    for fd in list(_held):
        with contextlib.suppress(OSError):
            os.close(fd)
    _held.clear()


os.register_at_fork(after_in_child=_after_fork)


class Slot:
    """A slot that this process holds until it calls ``release``."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def release(self) -> None:
        """Let the next one have the slot. May be called again."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            # A child that was forked at this moment may still have it open.
            fcntl.flock(fd, fcntl.LOCK_UN)
            _close(fd)


def take(folder: bytes, count: int, patience: float) -> Slot | None:
    """Return one of ``count`` slots; None if none is free in time.

    Waits up to ``patience`` seconds, behind those who wait already. All who use
    ``folder`` share the slots. Raises ``OSError`` if files there cannot be made
    or locked.
    """
    os.makedirs(folder, exist_ok=True)
    deadline = time.monotonic() + patience
    with _turn(folder):
        if not _places(folder):
            slot = _free_slot(folder, count)
            if slot is not None:
                return slot
        if patience <= 0:
            return None
        name = _PLACE + b'%020d' % time.time_ns()
        path = os.path.join(folder, name)
        place = _lock(path)
    if place is None:
        raise BlockingIOError
    try:
        while True:
            ahead = _places(folder, before=name)
            if not ahead:
                slot = _free_slot(folder, count)
                if slot is not None:
                    return slot
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            time.sleep(min(left, MOST_POLL, POLL * (1 + len(ahead))))
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)
        _close(place)


def occupation(folder: bytes) -> tuple[int, int]:
    """Return how many slots are taken, and how many wait for one.

    Those who look at the queue at this moment may look again a bit later. Raises
    ``OSError`` if files in the folder cannot be locked.
    """
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        # Nobody has taken a slot yet.
        return 0, 0
    with _turn(folder):
        held = [
            name
            for name in names
            if name != _TURN and _is_held(os.path.join(folder, name))
        ]
    taken = sum(name.startswith(_SLOT) for name in held)
    waiting = sum(name.startswith(_PLACE) for name in held)
    return taken, waiting


def _is_held(path: bytes) -> bool:
    """Return whether a process holds the lock of a file."""
    fd = _lock(path, create=False)
    if fd is not None:
        _close(fd)
        return False
    return os.path.exists(path)


def _places(folder: bytes, before: bytes | None = None) -> list[bytes]:
    """Return the places in the queue, in order; all or those before one.

    The first of them is taken; those of dead processes before it are removed.
    """
    found = sorted(
        name
        for name in os.listdir(folder)
        if name.startswith(_PLACE) and (before is None or name < before)
    )
    while found:
        path = os.path.join(folder, found[0])
        fd = _lock(path, create=False)
        if fd is None and os.path.exists(path):
            break
        # Names are not used again, so nobody else gets this one.
        with contextlib.suppress(OSError):
            os.unlink(path)
        if fd is not None:
            _close(fd)
        del found[0]
    return found


def _free_slot(folder: bytes, count: int) -> Slot | None:
    for number in range(count):
        fd = _lock(os.path.join(folder, _SLOT + b'%d' % number))
        if fd is not None:
            return Slot(fd)
    return None


@contextlib.contextmanager
def _turn(folder: bytes) -> Iterator[None]:
    """Hold the lock under which places are given out, for a moment."""
    fd = _open(os.path.join(folder, _TURN))
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        _close(fd)


def _lock(path: bytes, create: bool = True) -> int | None:
    """Lock a file; return its descriptor, None if it is locked or absent."""
    try:
        fd = _open(path, create)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _close(fd)
        return None
    except BaseException:
        _close(fd)
        raise
    return fd


def _open(path: bytes, create: bool = True) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
    fd = os.open(path, flags, 0o666)
    _held.add(fd)
    return fd


def _close(fd: int) -> None:
    _held.discard(fd)
    os.close(fd)
