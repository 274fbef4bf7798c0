# SPDX-License-Identifier: GPL-2.0-or-later
"""The project can be installed beside Mercurial and other extensions.

Many distributions install extensions into the folder ``hgext3rd``, whose
``__init__.py`` belongs to Mercurial.  Each way of installing is tested in an
environment that also has hg-evolve, another bundle of extensions.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

from hgext3rd.amalgam import metadata

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXTENSIONS = ('sqlitestore', 'wireprotov2', 'lfsserver')


def run(*command: object, cwd: pathlib.Path | None = None) -> str:
    """Run a command that does not see the checkout; return what it prints."""
    env = dict(os.environ, HGRCPATH='', HGPLAIN='1')
    env.pop('PYTHONPATH', None)
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope='session')
def sources(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A copy of the files of the checkout that belong to the project.

    Packages are built from a copy, because builds leave folders behind.
    """
    target = tmp_path_factory.mktemp('sources') / 'amalgam'
    ignored = shutil.ignore_patterns(
        '.git', '.hg', '.venv', '.cache', '.tox', 'build', 'dist',
        '*.egg-info', '__pycache__', '.*_cache', '.hypothesis', '*.err',
    )  # fmt: skip
    shutil.copytree(ROOT, target, ignore=ignored)
    return target


@pytest.fixture(scope='session')
def built(
    sources: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, pathlib.Path]:
    """An sdist, and a wheel built from that sdist."""
    out = tmp_path_factory.mktemp('dist')
    run(sys.executable, '-m', 'build', '-o', out, sources)
    return {
        'sdist': next(out.glob('*.tar.gz')),
        'wheel': next(out.glob('*.whl')),
    }


def test_wheel_has_the_packages_but_not_the_namespace_package(
    built: dict[str, pathlib.Path],
) -> None:
    names = zipfile.ZipFile(built['wheel']).namelist()
    assert 'hgext3rd/__init__.py' not in names
    assert 'hgext3rd/amalgam/pages/styles/page.css' in names
    for extension in EXTENSIONS:
        assert f'hgext3rd/{extension}/__init__.py' in names
    outside = {
        name.split('/')[0] for name in names if '.dist-info/' not in name
    }
    assert outside == {'hgext3rd'}


def test_wheel_contains_every_module(built: dict[str, pathlib.Path]) -> None:
    names = set(zipfile.ZipFile(built['wheel']).namelist())
    modules = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / 'hgext3rd').rglob('*.py')
    }
    assert modules - names == {'hgext3rd/__init__.py'}


def test_sdist_contains_the_project_and_no_environment(
    built: dict[str, pathlib.Path],
) -> None:
    with tarfile.open(built['sdist']) as archive:
        names = {name.partition('/')[2] for name in archive.getnames()}
    for name in ('README.rst', 'COPYING', 'Makefile', 'tests/conftest.py'):
        assert name in names
    assert not any(name.startswith(('.venv', '.cache')) for name in names)


@pytest.fixture(scope='session')
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A fresh environment with Mercurial and hg-evolve."""
    venv = tmp_path_factory.mktemp('neighbours') / 'venv'
    run(sys.executable, '-m', 'venv', venv)
    mercurial = importlib.metadata.version('mercurial')
    pip_install(venv, f'mercurial=={mercurial}', 'hg-evolve')
    return venv


def pip_install(venv: pathlib.Path, *what: object) -> None:
    """Install packages into an environment."""
    pip = ('-m', 'pip', '--disable-pip-version-check', 'install', '-q')
    run(venv / 'bin' / 'python', *pip, *what)


@pytest.mark.parametrize('how', ['wheel', 'sdist', 'folder', 'editable'])
def test_installs_beside_others(
    how: str,
    sources: pathlib.Path,
    built: dict[str, pathlib.Path],
    neighbours: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    def installed() -> set[str]:
        """Return the paths of all installed files."""
        listing = sorted(namespace.parent.rglob('*'))
        return {str(path) for path in listing if '__pycache__' not in str(path)}

    namespace = next(neighbours.glob('lib/*/site-packages/hgext3rd'))
    init = (namespace / '__init__.py').read_bytes()
    editable = tmp_path / 'checkout'
    if how == 'editable':
        shutil.copytree(sources, editable)
        pip_install(neighbours, '-e', editable)
    else:
        pip_install(neighbours, sources if how == 'folder' else built[how])
    assert (namespace / '__init__.py').read_bytes() == init
    before = installed()

    enabled = [f'--config=extensions.{name}=' for name in EXTENSIONS]
    hg = neighbours / 'bin' / 'hg'
    for name in (*EXTENSIONS, 'evolve'):
        enable = [*enabled, '--config=extensions.evolve=']
        output = run(hg, *enable, 'help', '-e', name, cwd=tmp_path)
        assert output.startswith(f'{name} extension - '), output
        assert 'failed to import' not in output
    version = run(hg, *enabled, 'version', '-v', cwd=tmp_path)
    assert re.search(r'sqlitestore +external +1\.', version), version

    python = neighbours / 'bin' / 'python'
    run(python, '-m', 'pip', 'uninstall', '-q', '-y', 'hg-amalgam')
    # The project is gone, and everything else is still there.
    assert (namespace / '__init__.py').read_bytes() == init
    assert (namespace / 'evolve' / '__init__.py').exists()
    assert not any((namespace / name).exists() for name in EXTENSIONS)
    gone = before - installed()
    assert all('amalgam' in path or 'hgext3rd' in path for path in gone)


@pytest.mark.parametrize('name', EXTENSIONS)
def test_extensions_have_the_metadata_that_mercurial_shows(name: str) -> None:
    extension = importlib.import_module(f'hgext3rd.{name}')
    for fact in ('__version__', 'testedwith', 'minimumhgversion', 'buglink'):
        assert getattr(extension, fact) == getattr(metadata, fact)
