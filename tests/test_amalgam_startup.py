# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands load only the modules of this project that they need.

Each module costs about a tenth of a millisecond, so a new import at the top of
a module that every command loads makes all commands slower. The limits are
numbers of modules, never times. When one is exceeded, import the module in the
function that uses it; raise the limit only if the command needs the module.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

HG = pathlib.Path(sys.executable).with_name('hg')

PROBE = """
import atexit, sys
from hgext3rd.amalgam import loading
def tell():
    sys.stderr.write(' '.join(sorted(filter(loading.is_loaded, sys.modules))))
def uisetup(ui):
    atexit.register(tell)
"""

# Modules of the standard library that take long to import and that these
# commands do not need.
HEAVY = {'asyncio', 'ctypes', 'dataclasses', 'multiprocessing', 'sqlite3'}


class Repository:
    """A repository in SQLite, used with all three extensions."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.path = folder / 'repo'
        probe = folder / 'probe.py'
        probe.write_text(PROBE)
        hgrc = folder / 'hgrc'
        hgrc.write_text(
            '[extensions]\nsqlitestore =\nwireprotov2 =\nlfsserver =\n'
            '[ui]\nusername = test\n[storage]\nnew-repo-backend = sqlite\n'
        )
        self.env = dict(os.environ, HGRCPATH=str(hgrc))
        self.probe = f'extensions.probe={probe}'
        self.run('init', str(self.path))
        for text in ('first', 'second'):
            (self.path / 'f').write_text(f'{text}\n')
            os.utime(self.path / 'f', (1, 1 + len(text)))
            self.run('-R', str(self.path), 'commit', '-qAm', text)
        # Reads the file, and records that it need not be read again.
        self.run('-R', str(self.path), 'status')

    def run(self, *args: str) -> str:
        """Run hg, and return what it wrote to standard error."""
        ran = subprocess.run(
            [str(HG), *args], env=self.env, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran
        return ran.stderr

    def loaded(self, *args: str) -> set[str]:
        """Return the names of all modules that a command loads."""
        args = ('--cwd', str(self.path), '--config', self.probe, *args)
        return set(self.run(*args).split())


@pytest.fixture(scope='module')
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp('startup'))


def ours(names: set[str]) -> list[str]:
    """Return the names of the modules of this project."""
    return sorted(name for name in names if name.startswith('hgext3rd.'))


@pytest.mark.parametrize(
    ('command', 'most'),
    [
        (['version', '-q'], 27),
        # Does not read the database.
        (['status'], 34),
        (['cat', '-r', 'tip', 'f'], 70),
        (['diff', '-c', 'tip'], 70),
        (['status', '--rev', '0'], 70),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else '',
)
def test_commands_load_few_modules(
    repository: Repository, command: list[str], most: int
) -> None:
    names = ours(repository.loaded(*command))
    assert 'hgext3rd.amalgam.loading' in names
    assert len(names) <= most, names


@pytest.mark.parametrize('command', ['version', 'status'])
def test_commands_that_read_no_history_load_no_sqlite(
    repository: Repository, command: str
) -> None:
    assert not HEAVY & repository.loaded(command)


@pytest.mark.parametrize(
    'command', [['cat', '-r', 'tip', 'f'], ['diff', '-c', 'tip']], ids=str
)
def test_reading_loads_only_what_reads(
    repository: Repository, command: list[str]
) -> None:
    loaded = repository.loaded(*command)
    assert 'sqlite3' in loaded
    assert not (HEAVY - {'sqlite3'}) & loaded
    # The folder itself is a package, which is loaded to find its modules.
    unwanted = (
        'hgext3rd.lfsserver.api.',
        'hgext3rd.lfsserver.stores.',
        'hgext3rd.sqlitestore.repacking.',
        'hgext3rd.sqlitestore.writing.',
        'hgext3rd.wireprotov2.client.',
        'hgext3rd.wireprotov2.pull.',
        'hgext3rd.wireprotov2.server.',
        'hgext3rd.wireprotov2.shallow.',
    )
    assert [name for name in ours(loaded) if name.startswith(unwanted)] == []


def test_commits_load_nothing_that_serves(repository: Repository) -> None:
    with (repository.path / 'f').open('a') as file:
        file.write('more\n')
    names = ours(repository.loaded('commit', '-m', 'more'))
    assert 'hgext3rd.sqlitestore.writing.filewriter' in names
    assert len(names) <= 83, names
    assert [n for n in names if '.server.' in n or '.pull.' in n] == []
