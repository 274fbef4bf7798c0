# SPDX-License-Identifier: GPL-2.0-or-later
"""Forked children of a server: no lock of the parent may stop them.

A prefork server forks while its other threads may hold any lock. Nobody
releases these locks in the child.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import threading
from collections.abc import Iterator
from typing import Any

import hgext3rd.amalgam
import hgext3rd.lfsserver
import hgext3rd.sqlitestore
import hgext3rd.wireprotov2
from hgext3rd.lfsserver.hgweb import endpoints

_LOCKS = (type(threading.Lock()), type(threading.RLock()))


def module_locks() -> Iterator[tuple[Any, str]]:
    """Yield (module, name) of all locks that are attributes of modules."""
    for package in (
        hgext3rd.amalgam,
        hgext3rd.lfsserver,
        hgext3rd.sqlitestore,
        hgext3rd.wireprotov2,
    ):
        prefix = package.__name__ + '.'
        for found in pkgutil.walk_packages(package.__path__, prefix):
            module = importlib.import_module(found.name)
            for name, value in vars(module).items():
                if isinstance(value, _LOCKS):
                    yield module, name


def test_locks_are_free_in_a_child() -> None:
    owned = list(module_locks())
    assert len(owned) >= 6
    held = [getattr(module, name) for module, name in owned]
    held.append(endpoints._gate._lock)
    for lock in held:
        assert lock.acquire(timeout=10)
    try:
        pid = os.fork()
        if not pid:
            # Nothing of pytest may run in the child.
            status = 1
            try:
                now = [getattr(module, name) for module, name in owned]
                now.append(endpoints._gate._lock)
                if all(lock.acquire(blocking=False) for lock in now):
                    status = 0
            finally:
                os._exit(status)
        _pid, status = os.waitpid(pid, 0)
    finally:
        for lock in held:
            lock.release()
    assert os.waitstatus_to_exitcode(status) == 0


def test_transfers_of_the_parent_use_no_slot_of_a_child() -> None:
    slot = endpoints._gate.enter(1)
    pid = os.fork()
    if not pid:
        status = 1
        try:
            endpoints._gate.enter(1).release()
            status = 0
        finally:
            os._exit(status)
    _pid, status = os.waitpid(pid, 0)
    slot.release()
    assert os.waitstatus_to_exitcode(status) == 0
