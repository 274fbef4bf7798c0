# SPDX-License-Identifier: GPL-2.0-or-later
"""Repack files whose texts are so large that each begins a frame."""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import sqlite3

import pytest

pytest.importorskip('mercurial')

from helpers import sqlitestore_crashes as crashes
from helpers.sqlitestore_crashes import hg_command

from hgext3rd.sqlitestore.formats import schema
from hgext3rd.sqlitestore.repacking import packer

SIZE = 50_000


@pytest.fixture(autouse=True)
def configuration(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Configure the commands that this process runs."""
    crashes.configure(tmp_path, monkeypatch)
    monkeypatch.setattr(packer, 'ALONE', SIZE // 2)


class History:
    """A repository with one changing file of noise."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.noise = random.Random(8)
        self.text = b''
        self.hg('init', path)

    def hg(self, *args: str | pathlib.Path) -> None:
        """Run a command."""
        code, out = hg_command(*map(os.fsencode, args))
        assert code == 0, out

    def commit(self, *texts: bytes) -> None:
        """Commit each text as a revision of the file."""
        for text in texts:
            (self.path / 'file').write_bytes(text)
            self.hg('--cwd', self.path, 'commit', '-qAm', 'changed')

    def change(self) -> bytes:
        """Return the text with another hundred bytes."""
        if not self.text:
            self.text = self.noise.randbytes(SIZE)
        place = self.noise.randrange(SIZE - 100)
        self.text = (
            self.text[:place]
            + self.noise.randbytes(100)
            + self.text[place + 100 :]
        )
        return self.text

    def repack(self) -> dict[int, int]:
        """Repack, verify, and return the bytes of each frame of the file."""
        self.hg('--cwd', self.path, 'admin::sqlite-repack')
        self.hg('--cwd', self.path, 'verify', '-q')
        database = self.path / '.hg/store' / os.fsdecode(schema.FILENAME)
        with contextlib.closing(sqlite3.connect(database)) as conn:
            rows = conn.execute('SELECT id, length(data) FROM frame')
            return {frame: size for frame, size in rows if size > SIZE // 2}


@pytest.fixture
def history(tmp_path: pathlib.Path) -> History:
    return History(tmp_path / 'repo')


def test_revisions_with_much_in_common_share_a_frame(history: History) -> None:
    history.commit(*[history.change() for _ in range(6)])
    (first,) = history.repack().items()
    assert first[1] < 1.5 * SIZE
    history.commit(history.change())
    (second,) = history.repack().items()
    assert second[0] != first[0]
    assert second[1] < 1.5 * SIZE


def test_frames_of_texts_without_anything_in_common_stay(
    history: History,
) -> None:
    history.commit(*[history.noise.randbytes(SIZE) for _ in range(3)])
    before = history.repack()
    assert len(before) == 3
    history.commit(history.noise.randbytes(SIZE))
    after = history.repack()
    assert len(after) == 4
    assert before.items() <= after.items()


def test_a_frame_with_deltas_stays(history: History) -> None:
    history.commit(*[history.change() for _ in range(3)])
    before = history.repack()
    history.commit(history.noise.randbytes(SIZE))
    after = history.repack()
    assert len(after) == 2
    assert before.items() <= after.items()


def test_stripped_revisions_do_not_keep_a_frame(history: History) -> None:
    history.commit(*[history.change() for _ in range(3)])
    (before,) = history.repack()
    history.hg(
        *('--cwd', history.path, '--config', 'extensions.strip='),
        *('strip', '-q', '--no-backup', '-r', 'tip'),
    )
    history.commit(history.noise.randbytes(SIZE))
    after = history.repack()
    assert len(after) == 2
    assert before not in after
