# SPDX-License-Identifier: GPL-2.0-or-later
"""How many clones and pulls a server computes at a time.

A request takes a slot when it begins to compute what it sends. What comes from
a cache or a file takes none, and pushes never do. ``slots`` keeps the slots;
this module knows requests, the configuration and the metrics.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mercurial import error
from mercurial.utils import stringutil

from . import metrics, slots
from .errors import HTTPError

_SECTION = b'wireprotov2'

#: The folder with the slots, in the cache folder of a repository.
FOLDER = b'wireprotov2-slots'

#: Seconds after which a refused client should ask again.
RETRY_AFTER = 10

#: Takes one line about slots that do not work.
Warn = Callable[[bytes], None]

# Folders in which no slots can be made and of which that was reported.
_reported: set[bytes] = set()


class Refused(HTTPError):
    """No slot was free in time; the client may ask again later."""

    def __init__(self) -> None:
        super().__init__(
            503,
            b'too many clones and pulls at the moment; try again later\n',
            ((b'Retry-After', b'%d' % RETRY_AFTER),),
        )


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``count`` clones and pulls at a time, in the slots in ``folder``.

    ``common`` says whether other repositories may use the folder.
    """

    count: int
    folder: bytes
    common: bool


def limit_of(repo: Any) -> Limit | None:
    """Return the limit of a repository, or None."""
    count: int = repo.ui.configint(_SECTION, b'limit.computing')
    if count <= 0:
        return None
    folder = repo.ui.configpath(_SECTION, b'limit.folder')
    if folder:
        return Limit(count, folder, True)
    return Limit(count, repo.cachevfs.join(FOLDER), False)


class Permit:
    """The slot of one request, taken when it is first needed.

    Without a limit, it is always granted.
    """

    def __init__(self, repo: Any, warn: Warn) -> None:
        ui = repo.ui
        self._repo = repo
        self._warn = warn
        self._limit = limit_of(repo)
        self._patience: int = ui.configint(_SECTION, b'limit.waiting')
        self._slot: slots.Slot | None = None
        #: whether the request computes nothing after what it computes now
        self.last = True

    def take(self) -> None:
        """Wait for a slot unless this request has one. Raises ``Refused``."""
        limit = self._limit
        if limit is None or self._slot is not None:
            return
        repo, folder = self._repo, limit.folder
        outcome = 'at once'
        try:
            self._slot = slots.take(folder, limit.count, 0)
            if self._slot is None:
                outcome = 'waited'
                self._slot = slots.take(folder, limit.count, self._patience)
        except OSError as e:
            # Better too much load than no answer.
            if folder not in _reported:
                _reported.add(folder)
                reason = stringutil.forcebytestr(e)
                self._warn(b'requests are not limited: %s' % reason)
            return
        if self._slot is None:
            outcome = 'refused'
        if metrics.enabled(repo.ui):
            metrics.count_permit(repo, outcome)
        if self._slot is None:
            raise Refused

    def computed(self) -> None:
        """Release the slot if the request computes nothing more."""
        if self.last:
            self.release()

    def release(self) -> None:
        """Release the slot if there is one."""
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.release()


# -- version 1

#: The permit of the request that this thread answers.
_answering = threading.local()


def answer(
    orig: Any, rctx: Any, req: Any, res: Any, checkperm: Any, warn: Warn
) -> bool:
    """Answer an HTTP request of version 1 with ``orig``, Mercurial's function.

    If it computes a clone or pull, ``take_for_current`` is called meanwhile.
    The slot is released when the body of the response ends. Raises ``Refused``.
    """
    permit = Permit(rctx.repo, warn)
    with _answering_with(permit) as kept:
        answered: bool = orig(rctx, req, res, checkperm)
        if res._bodygen is not None:
            res._bodygen = _Held(res._bodygen, permit)
            kept.pop_all()
        return answered


def answer_ssh(
    orig: Any, repo: Any, warn: Warn, *args: Any, **kwargs: Any
) -> Any:
    """Answer a command over ssh with ``orig``, Mercurial's ``dispatch``.

    As ``answer``, but a client that is refused gets an error of Mercurial.
    """
    permit = _AbortingPermit(repo, warn)
    with _answering_with(permit) as kept:
        response = orig(repo, *args, **kwargs)
        gen = getattr(response, 'gen', None)
        if gen is not None:
            response.gen = _Held(gen, permit)
            kept.pop_all()
        return response


class _AbortingPermit(Permit):
    """A permit whose refusal Mercurial reports to clients of version 1."""

    def take(self) -> None:
        try:
            super().take()
        except Refused as e:
            raise error.Abort(e.body.rstrip()) from None


@contextlib.contextmanager
def _answering_with(permit: Permit) -> Iterator[contextlib.ExitStack]:
    """Let ``take_for_current`` use ``permit``; then release it.

    The latter is a callback of what this yields.
    """
    with contextlib.ExitStack() as stack:
        stack.callback(permit.release)
        _answering.permit = permit
        try:
            yield stack
        finally:
            del _answering.permit


def take_for_current() -> None:
    """Take a slot for the request of version 1 that this thread answers.

    Raises ``Refused``, or over ssh ``Abort``.
    """
    permit: Permit | None = getattr(_answering, 'permit', None)
    if permit is not None:
        permit.take()


class _Held:
    """The body of a response, at whose end a slot is released."""

    def __init__(self, body: Any, permit: Permit) -> None:
        self._body = body
        self._permit = permit

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._body
        finally:
            self.close()

    def close(self) -> None:
        """Release the slot, and whatever the body holds."""
        body, self._body = self._body, ()
        with contextlib.ExitStack() as stack:
            stack.callback(self._permit.release)
            close = getattr(body, 'close', None)
            if close is not None:
                close()
