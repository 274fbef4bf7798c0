# SPDX-License-Identifier: GPL-2.0-or-later
"""The quota of a repository: how many bytes its blobs may take.

An upload reserves its bytes before it begins, so that uploads that run at the
same time, in whatever processes, cannot exceed the quota together. A
reservation is a file whose content is the number of bytes. Its process holds a
lock on it, so that the system ends reservations with their process. This module
knows neither HTTP nor Mercurial.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import TracebackType

from .. import errors
from .content import Block
from .files import FileCreator, names_in, translated_errors
from .usage import Usage

# Seconds for which a blob that has been stored counts until it is listed.
_SOON = 3600.0


class Reservation:
    """Bytes reserved for the upload of ``oid``; a context manager.

    The bytes are given back at the end.
    """

    def __init__(
        self, quota: Quota, oid: str, size: int, fd: int, path: str
    ) -> None:
        self._quota = quota
        self._oid = oid
        self._size = size
        self._fd = fd
        self._path = path

    def resize(self, size: int) -> None:
        """Reserve ``size`` bytes in all; raise OutOfSpace if they do not fit."""
        with translated_errors():
            os.pwrite(self._fd, b'%20d' % size, 0)
        self._size = size
        self._quota.check()

    def covering(self, content: Iterable[Block]) -> Iterator[Block]:
        """Pass content of unknown length through, and reserve what arrives."""
        received = 0
        for block in content:
            received += len(block)
            self.resize(received)
            yield block

    def stored(self, now: float) -> None:
        """Count the blob that has just been stored; ``now`` is a POSIX time."""
        self._quota.usage.expect(self._oid, self._size, now + _SOON)

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            os.unlink(self._path)
        os.close(self._fd)


class Quota:
    """At most ``limit`` bytes in a store whose bytes ``usage`` counts.

    Reservations are files in ``folder``, made by ``creator``.
    """

    def __init__(
        self, limit: int, usage: Usage, folder: str, creator: FileCreator
    ) -> None:
        self.limit = limit
        self.usage = usage
        self._folder = folder
        self._creator = creator

    def used(self) -> int:
        """Return the bytes that are used or reserved."""
        with translated_errors():
            running = list(self._reserved())
        size = sum(size for _oid, size in running)
        return size + self.usage.total({oid for oid, _size in running})

    def _reserved(self) -> Iterator[tuple[str, int]]:
        """Yield oid and size of each reservation; remove those that ended."""
        for name in names_in(self._folder):
            if name.startswith('.'):
                continue
            path = os.path.join(self._folder, name)
            try:
                fd = os.open(path, os.O_RDWR)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                yield name.partition('-')[0], int(os.pread(fd, 20, 0) or b'0')
            else:
                # Nobody holds it: its process is gone.
                with suppress(FileNotFoundError):
                    os.unlink(path)
            finally:
                os.close(fd)

    def check(self) -> None:
        """Raise OutOfSpace if more is used or reserved than allowed."""
        used = self.used()
        if used > self.limit:
            raise self.exceeded()

    def exceeded(self) -> errors.OutOfSpace:
        """Return the error for a client whose upload does not fit."""
        return errors.OutOfSpace(
            f'the quota of {self.limit} bytes of this repository is exceeded'
        )

    def reserve(self, oid: str, size: int) -> Reservation:
        """Reserve ``size`` bytes for the upload of a blob.

        Raises OutOfSpace if they do not fit.
        """
        name = f'{oid}-{secrets.token_hex(8)}'
        path = os.path.join(self._folder, name)
        hidden = os.path.join(self._folder, f'.{name}')
        with translated_errors():
            self._creator.make_directories(self._folder)
            fd = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.fchmod(fd, self._creator.file_mode)
                fcntl.flock(fd, fcntl.LOCK_EX)
                os.pwrite(fd, b'%20d' % size, 0)
                os.rename(hidden, path)
            except BaseException:
                os.unlink(hidden)
                os.close(fd)
                raise
        reservation = Reservation(self, oid, size, fd, path)
        try:
            self.check()
        except BaseException:
            reservation.__exit__(None, None, None)
            raise
        return reservation
