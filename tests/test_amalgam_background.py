# SPDX-License-Identifier: GPL-2.0-or-later
"""Which program runs the commands that a server starts."""

from __future__ import annotations

import os
import pathlib
import sys
import types

import pytest

pytest.importorskip('mercurial')

from mercurial import encoding
from mercurial.utils import procutil

from hgext3rd.amalgam.serving import background


@pytest.fixture
def environment(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> pathlib.Path:
    """A process of gunicorn in a virtual environment that has no hg."""
    main = types.SimpleNamespace(__file__=str(tmp_path / 'gunicorn'))
    monkeypatch.setitem(sys.modules, '__main__', main)
    monkeypatch.setattr(sys, 'executable', str(tmp_path / 'python'))
    monkeypatch.setattr(procutil, '_hgexecutable', b'elsewhere')
    monkeypatch.delitem(encoding.environ, b'HG', raising=False)
    return tmp_path


def install(folder: pathlib.Path) -> bytes:
    """Put a program hg into a folder, and return its path."""
    path = folder / 'hg'
    path.touch(mode=0o755)
    return os.fsencode(path)


def test_hg_beside_python(environment: pathlib.Path) -> None:
    assert background.hg_program() == b'elsewhere'
    path = install(environment)
    assert background.hg_program() == path


def test_hg_of_a_command(
    environment: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(environment)
    monkeypatch.setattr(sys.modules['__main__'], '__file__', '/other/bin/hg')
    assert background.hg_program() == b'elsewhere'


def test_hg_that_is_configured(
    environment: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(environment)
    monkeypatch.setitem(encoding.environ, b'HG', b'/other/bin/hg')
    assert background.hg_program() == b'elsewhere'
