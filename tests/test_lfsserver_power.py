# SPDX-License-Identifier: GPL-2.0-or-later
"""Uploads survive a power failure from the moment that a client gets the answer.

The power is cut at each such moment, and a blob must never appear under its name
before its content is on the disk.
"""

from __future__ import annotations

import hashlib
import pathlib

import pytest
from helpers import power_files

pytestmark = pytest.mark.needs('strace')

# Threads store blobs of their own, and some that all of them store. Each says
# so in a file, as a server would answer.
UPLOADS = """
import hashlib, os, sys, threading
from hgext3rd.lfsserver.stores.files import FileCreator
from hgext3rd.lfsserver.stores.local import LocalStore
from hgext3rd.lfsserver.stores.verdicts import VerdictCache
root, answers, threads = sys.argv[1:]
store = LocalStore(
    os.path.join(root, 'lfs'), VerdictCache(root + '.verdicts'), FileCreator()
)
fd = os.open(answers, os.O_WRONLY | os.O_APPEND)
def upload(thread):
    for number in range(6):
        data = b'%d %d' % (thread if number % 3 else 0, number)
        oid = hashlib.sha256(data).hexdigest()
        store.put(oid, [data], len(data))
        os.write(fd, oid.encode())
started = [
    threading.Thread(target=upload, args=(number,))
    for number in range(int(threads))
]
for thread in started:
    thread.start()
for thread in started:
    thread.join()
"""


@pytest.mark.parametrize('threads', [1, 8])
def test_uploads(tmp_path: pathlib.Path, threads: int) -> None:
    root = tmp_path / 'store'
    root.mkdir()
    answers = tmp_path / 'answers'
    answers.touch()
    events = power_files.trace(
        UPLOADS,
        [str(root), str(answers), str(threads)],
        tmp_path / 'trace',
    )
    tree = power_files.Tree(root)
    count = 0
    for event in events:
        if event.name == 'write' and str(answers) in event.text:
            if event.result is None:
                oid = power_files._NAME.findall(event.text)[0]
                blob = root / 'lfs' / 'objects' / oid[:2] / oid[2:]
                assert tree.survives(blob), count
                count += 1
            continue
        tree.apply(event)
        if event.name == 'rename' and event.result == 0:
            for name, node in tree.named():
                if len(name) == 62:
                    assert node.synced == node.written > 0, name
    assert count == 6 * threads


def test_model_finds_faults(tmp_path: pathlib.Path) -> None:
    """Without one of its syncs, an upload does not survive."""
    root = tmp_path / 'store'
    data = b'0 0'
    oid = hashlib.sha256(data).hexdigest()
    answers = tmp_path / 'answers'
    answers.touch()
    root.mkdir()
    code = UPLOADS.replace('range(6)', 'range(1)')
    events = power_files.trace(
        code, [str(root), str(answers), '1'], tmp_path / 'trace'
    )
    blob = root / 'lfs' / 'objects' / oid[:2] / oid[2:]
    syncs = [
        i for i, e in enumerate(events) if e.name == 'fsync' and e.result == 0
    ]
    whole = power_files.Tree(root)
    for event in events:
        whole.apply(event)
    assert whole.survives(blob)
    needed = 0
    for left_out in syncs:
        tree = power_files.Tree(root)
        for number, event in enumerate(events):
            # A call that fails syncs nothing.
            failed = number == left_out
            tree.apply(event._replace(result=-1) if failed else event)
        needed += not tree.survives(blob)
    # The content, the blob's name and those of three directories.
    assert needed == 5
