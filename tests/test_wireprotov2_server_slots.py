# SPDX-License-Identifier: GPL-2.0-or-later
"""Slots that processes share: how many, in which order, and who loses them."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from conftest import wait_for

from hgext3rd.wireprotov2.server import slots

FOREVER = 600


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> bytes:
    return bytes(tmp_path / 'slots')


def places(folder: bytes) -> int:
    """Return how many wait in the queue."""
    return sum(name.startswith(b'place-') for name in os.listdir(folder))


def waiting(
    folder: bytes, count: int, then: Callable[[slots.Slot], None]
) -> threading.Thread:
    """Start a thread that waits for a slot; return once it is in the queue."""
    before = places(folder)

    def run() -> None:
        slot = slots.take(folder, count, FOREVER)
        assert slot is not None
        then(slot)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    wait_for(lambda: places(folder) > before, 'the queue')
    return thread


def test_no_more_than_the_limit(folder: bytes) -> None:
    taken = [slots.take(folder, 2, 0) for _number in range(3)]
    assert taken[0] is not None and taken[1] is not None and taken[2] is None
    taken[0].release()
    assert slots.take(folder, 2, 0) is not None
    assert slots.take(folder, 2, 0) is None


def test_occupation(folder: bytes) -> None:
    """Looking counts those who hold a slot and those who wait."""
    assert slots.occupation(folder) == (0, 0)
    assert not os.path.exists(folder)
    taken = slots.take(folder, 2, 0), slots.take(folder, 2, 0)
    assert taken[0] is not None and taken[1] is not None
    assert slots.occupation(folder) == (2, 0)
    served: list[slots.Slot] = []
    thread = waiting(folder, 2, served.append)
    assert slots.occupation(folder) == (2, 1)
    taken[0].release()
    thread.join()
    assert slots.occupation(folder) == (2, 0)
    served[0].release()
    taken[1].release()
    assert slots.occupation(folder) == (0, 0)
    # The place of a process that died.
    with open(os.path.join(folder, b'place-%020d' % 1), 'wb'):
        pass
    assert slots.occupation(folder) == (0, 0)


def test_releasing_twice_takes_nothing_from_others(folder: bytes) -> None:
    first = slots.take(folder, 1, 0)
    assert first is not None
    first.release()
    second = slots.take(folder, 1, 0)
    assert second is not None
    first.release()
    assert slots.take(folder, 1, 0) is None
    second.release()


def test_waiting_ends(folder: bytes) -> None:
    slot = slots.take(folder, 1, 0)
    assert slots.take(folder, 1, 0.05) is None
    assert places(folder) == 0
    assert slot is not None
    slot.release()


def test_order(folder: bytes) -> None:
    """Slots go to those who wait in their order, and not past them."""
    held = slots.take(folder, 1, 0)
    assert held is not None
    served: list[int] = []

    def serve(number: int) -> Callable[[slots.Slot], None]:
        def then(slot: slots.Slot) -> None:
            served.append(number)
            slot.release()

        return then

    threads = [waiting(folder, 1, serve(number)) for number in range(5)]
    assert slots.take(folder, 1, 0) is None
    held.release()
    for thread in threads:
        thread.join(FOREVER)
    assert served == [0, 1, 2, 3, 4]
    assert places(folder) == 0


SCRIPT = """
import sys
from hgext3rd.wireprotov2.server import slots
slot = slots.take(sys.argv[1].encode(), 1, float(sys.argv[2]))
print('taken' if slot else 'none', flush=True)
sys.stdin.read()
"""


def another_process(folder: bytes, patience: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, '-c', SCRIPT, folder.decode(), str(patience)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=pathlib.Path(__file__).parent.parent,
    )


def said(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_killed_process_loses_its_slot(folder: bytes) -> None:
    with another_process(folder, 0) as holder:
        assert said(holder) == b'taken'
        assert slots.take(folder, 1, 0) is None
        holder.kill()
    slot = slots.take(folder, 1, 0)
    assert slot is not None
    slot.release()


def test_a_killed_process_loses_its_place(folder: bytes) -> None:
    held = slots.take(folder, 1, 0)
    assert held is not None
    with another_process(folder, FOREVER) as waiter:
        wait_for(lambda: places(folder) == 1, 'the queue')
        waiter.kill()
    assert places(folder) == 1
    held.release()
    slot = slots.take(folder, 1, 0)
    assert slot is not None
    assert places(folder) == 0
    slot.release()


def test_a_child_does_not_keep_the_slot(folder: bytes) -> None:
    held = slots.take(folder, 1, 0)
    assert held is not None
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    os.close(reading)
    try:
        held.release()
        slot = slots.take(folder, 1, 0)
        assert slot is not None
        slot.release()
    finally:
        os.close(writing)
        os.waitpid(child, 0)


def test_a_folder_that_cannot_be_made(tmp_path: pathlib.Path) -> None:
    (tmp_path / 'file').touch()
    with pytest.raises(OSError):
        slots.take(bytes(tmp_path / 'file' / 'slots'), 1, 0)
