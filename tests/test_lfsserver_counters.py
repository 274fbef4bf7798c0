# SPDX-License-Identifier: GPL-2.0-or-later
"""Counts that several processes share."""

from __future__ import annotations

import os
import pathlib
import threading
from collections.abc import Callable

import pytest

from hgext3rd.lfsserver.stores.counters import TOTALS, Counters

NAMES = ('a', 'b')


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> str:
    return str(tmp_path / 'cache' / 'counts')


def in_child(action: Callable[[], None]) -> None:
    pid = os.fork()
    if not pid:
        code = 1
        try:
            action()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


def test_counts(folder: str) -> None:
    counters = Counters(folder, NAMES)
    assert counters.read() == {'a': 0, 'b': 0}
    counters.add({'a': 1, 'b': 2**40})
    counters.add({'a': 2})
    assert counters.read() == {'a': 3, 'b': 2**40}
    # Another process looks.
    assert Counters(folder, NAMES).read() == {'a': 3, 'b': 2**40}


def test_processes(folder: str) -> None:
    """Processes that have ended still count, and leave no files."""
    counters = Counters(folder, NAMES)
    counters.add({'a': 1})
    for _ in range(3):
        in_child(lambda: counters.add({'a': 10, 'b': 1}))
    assert len(os.listdir(folder)) == 4
    for _ in range(2):
        assert counters.read() == {'a': 31, 'b': 3}
    files = os.listdir(folder)
    assert len(files) == 2 and TOTALS in files
    counters.add({'b': 1})
    in_child(lambda: counters.add({'b': 1}))
    assert counters.read() == {'a': 31, 'b': 5}


def test_threads(folder: str) -> None:
    counters = Counters(folder, NAMES)

    def count() -> None:
        for _ in range(500):
            counters.add({'a': 1, 'b': 2})

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counters.read() == {'a': 2000, 'b': 4000}


def test_new_names(folder: str) -> None:
    """A later version counts more, beside an earlier one."""
    old = Counters(folder, NAMES)
    in_child(lambda: old.add({'a': 5}))
    old.add({'b': 1})
    assert old.read() == {'a': 5, 'b': 1}
    new = Counters(folder, (*NAMES, 'c'))
    new.add({'c': 7})
    assert new.read() == {'a': 5, 'b': 1, 'c': 7}
    assert old.read() == {'a': 5, 'b': 1}


def test_unwritable(tmp_path: pathlib.Path) -> None:
    (tmp_path / 'file').write_text('in the way')
    counters = Counters(str(tmp_path / 'file' / 'counts'), NAMES)
    assert counters.read() == {'a': 0, 'b': 0}
    counters.add({'a': 1})
    counters.add({'a': 1})
    assert counters.read() == {'a': 2, 'b': 0}
