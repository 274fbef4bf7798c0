# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures that take long to measure, kept until what they depend on changes.

They are kept in memory and in the cache folder of the repository, which all
processes share. What takes long is measured by a thread: until it is done,
readers get the figures of an earlier state, or none. They never get figures that
were made for readers who may see something else. Nothing here knows what is
measured.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mercurial.utils import stringutil

from .. import compat, metadata
from ..lru import LRU

# Files of another version may lack figures, or have others.
_VERSION = metadata.__version__.decode('ascii')

# After measuring for a second, none is measured again for so many: a page that
# is read again and again must not take more than this part of a processor.
_REST = 20

_lock = threading.Lock()
_running: set[tuple[bytes, str]] = set()


@dataclass(frozen=True, slots=True)
class Survey:
    """The figures ``data`` of the state ``key``, for readers who see ``view``.

    ``measured`` is the POSIX time at the end of measuring, which took
    ``seconds``. Texts in ``data`` are ``str``; bytes that are not UTF-8 are in
    them as ``text_of`` has them.
    """

    key: str
    view: str
    measured: float
    seconds: float
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be measured: ``measure`` takes a repository.

    It may be called in another thread, with a repository of its own, which it
    leaves without open files. ``name`` is that of its file, and ``view`` tells
    what its readers may see: see ``view_of``. ``long`` says that it takes more
    time than a reader of a page should wait.
    """

    name: str
    key: str
    view: str
    long: bool
    measure: Callable[[Any], Mapping[str, Any]]


# Surveys in memory, by folder and name. Each takes up to 100 kB.
_kept: LRU[tuple[bytes, str], Survey] = LRU(100)


def _after_fork() -> None:
    """Forget the threads of the parent, and renew the lock."""
    global _lock, _running
    _lock = threading.Lock()
    _running = set()


os.register_at_fork(after_in_child=_after_fork)


def text_of(value: bytes) -> str:
    """Return bytes as text from which they can be had again."""
    return value.decode('utf-8', 'surrogateescape')


def view_of(repo: Any) -> str:
    """Return what tells the changesets that a view of a repository hides."""
    hidden = sorted(repo.changelog.filteredrevs)
    return hashlib.sha256(repr(hidden).encode()).hexdigest()[:16]


def find(repo: Any, task: Task) -> Survey | None:
    """Return the newest survey, which may be of an earlier state, or None.

    If it is outdated, it is measured: now, or in a thread if that takes long.
    Raises what ``measure`` raises now.
    """
    place = repo.cachevfs.base, task.name
    known = _known(repo, place)
    if known is not None and known.view != task.view:
        # It may have names that this reader must not see.
        known = None
    if known is not None and known.key == task.key:
        return known
    if not task.long:
        return _measure(repo, task, place)
    if known is None or time.time() - known.measured > _REST * known.seconds:
        _start(repo, task, place)
    return known


def peek(repo: Any, name: str) -> Survey | None:
    """Return the newest survey, for whatever readers; measure nothing.

    Show no names of it.
    """
    return _known(repo, (repo.cachevfs.base, name))


def _file(place: tuple[bytes, str]) -> bytes:
    return b'amalgam-%s.json' % place[1].encode('ascii')


def _known(repo: Any, place: tuple[bytes, str]) -> Survey | None:
    """Return the newest survey, in memory or on disk."""
    with _lock:
        kept = _kept.get(place)
    found = None
    with suppress(OSError, ValueError, TypeError, KeyError):
        found = _decode(repo.cachevfs.tryread(_file(place)))
    if found is None or (kept is not None and kept.measured > found.measured):
        return kept
    return found


def _decode(data: bytes) -> Survey | None:
    content = json.loads(data)
    if content['version'] != _VERSION:
        return None
    return Survey(
        str(content['key']),
        str(content['view']),
        float(content['measured']),
        float(content['seconds']),
        dict(content['data']),
    )


def _measure(repo: Any, task: Task, place: tuple[bytes, str]) -> Survey:
    begin = time.monotonic()
    data = task.measure(repo)
    seconds = time.monotonic() - begin
    survey = Survey(task.key, task.view, time.time(), seconds, data)
    with _lock:
        _kept.put(place, survey, 1)
    content = {
        'version': _VERSION,
        'key': survey.key,
        'view': survey.view,
        'measured': survey.measured,
        'seconds': survey.seconds,
        'data': survey.data,
    }
    # Without the file, each process measures by itself.
    with (
        suppress(OSError),
        repo.cachevfs(_file(place), b'wb', atomictemp=True) as stream,
    ):
        stream.write(json.dumps(content).encode('ascii'))
    return survey


def _start(repo: Any, task: Task, place: tuple[bytes, str]) -> None:
    """Measure in a thread, unless one does already."""
    with _lock:
        if place in _running:
            return
        _running.add(place)
    ui, root = repo.baseui.copy(), repo.root

    def run() -> None:
        try:
            _measure(compat.open_repository(ui, root), task, place)
        except Exception as e:
            # The next reader of a page begins again.
            ui.log(
                b'amalgam',
                b'cannot measure %s: %s\n',
                root,
                stringutil.forcebytestr(e),
            )
        finally:
            with _lock:
                _running.discard(place)

    # Not a daemon: it must not read a database while the interpreter ends.
    threading.Thread(target=run, name=f'survey-{task.name}').start()
