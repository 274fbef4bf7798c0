# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests need and nobody ships: fetched once, kept in .cache/.

Mercurial's test runner is not on PyPI by itself, so it is taken from the
source distribution of the very version that is installed.  A Mercurial 6.0,
the last release that speaks wire protocol version 2, serves as live peer; it
needs Python 3.9 and its tests are skipped where there is none.
"""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = ROOT / '.cache'

OLD_MERCURIAL = '6.0.3'


def pip(python: str | pathlib.Path, *args: str) -> None:
    """Run pip of ``python``; raise CalledProcessError if it fails."""
    subprocess.run(
        [str(python), '-m', 'pip', '--disable-pip-version-check', *args],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def mercurial_tests() -> pathlib.Path:
    """Return the tests/ folder of the installed Mercurial's own sources."""
    version = importlib.metadata.version('mercurial')
    target = CACHE / f'mercurial-{version}'
    if not (target / 'tests' / 'run-tests.py').exists():
        print(f'fetching run-tests.py of Mercurial {version}', flush=True)
        _unpack_tests(version, target)
    return target / 'tests'


def _unpack_tests(version: str, target: pathlib.Path) -> None:
    """Download the sdist and unpack its tests/ and contrib/ to ``target``.

    The folder appears by one rename, so an interruption leaves no half of it.
    """
    downloads = CACHE / 'downloads'
    # pip has no way to download an sdist without looking at its metadata;
    # the dependencies are skipped and nothing is compiled.
    pip(
        sys.executable,
        'download',
        '-q',
        '--no-deps',
        '--no-binary=mercurial',
        '--dest',
        str(downloads),
        f'mercurial=={version}',
    )
    partial = target.with_suffix('.partial')
    shutil.rmtree(partial, ignore_errors=True)
    with tarfile.open(downloads / f'mercurial-{version}.tar.gz') as archive:
        prefix = f'mercurial-{version}/'
        for member in archive.getmembers():
            name = member.name.removeprefix(prefix)
            if name.split('/')[0] not in ('tests', 'contrib'):
                continue
            if '..' in name.split('/') or name.startswith('/'):
                raise SystemExit(f'suspicious path in sdist: {member.name}')
            member.name = name
            archive.extract(member, partial)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def old_hg() -> pathlib.Path | None:
    """Return the ``hg`` of a Mercurial 6.0, or None where it cannot be had.

    ``AMALGAM_HG60`` names one that exists already.  A failed attempt is
    remembered, as it is slow; removing .cache/ forgets it.
    """
    given = os.environ.get('AMALGAM_HG60')
    if given:
        return pathlib.Path(given)
    hg = CACHE / 'hg60' / 'bin' / 'hg'
    unavailable = CACHE / 'hg60.unavailable'
    if hg.exists():
        return hg
    if unavailable.exists():
        return None
    for python in _pythons39():
        print(f'creating an environment with Mercurial {OLD_MERCURIAL}')
        sys.stdout.flush()
        try:
            _create_old_environment(python)
        except (subprocess.CalledProcessError, OSError):
            continue
        return hg
    CACHE.mkdir(exist_ok=True)
    unavailable.write_text('no Python 3.9 able to install Mercurial 6.0\n')
    return None


def _create_old_environment(python: str) -> None:
    """Install the old Mercurial with ``python`` into .cache/hg60."""
    target = CACHE / 'hg60'
    shutil.rmtree(target, ignore_errors=True)
    try:
        subprocess.run(
            [python, '-m', 'venv', str(target)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        pip(
            target / 'bin' / 'python',
            'install',
            '-q',
            'setuptools',
            'wheel',
            f'mercurial=={OLD_MERCURIAL}',
        )
    except subprocess.CalledProcessError:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _pythons39() -> Iterator[str]:
    """Yield executables that really are Python 3.9: PATH, pyenv, uv."""
    candidates = [shutil.which('python3.9')]
    pyenv = os.environ.get('PYENV_ROOT', os.path.expanduser('~/.pyenv'))
    for place in (
        pathlib.Path(pyenv, 'versions'),
        pathlib.Path(os.path.expanduser('~/.local/share/uv/python')),
    ):
        candidates.extend(
            str(path) for path in sorted(place.glob('*3.9.*/bin/python3.9'))
        )
    check = 'import sys; sys.exit(sys.version_info[:2] != (3, 9))'
    for candidate in candidates:
        # A pyenv shim exists for versions that are not switched on.
        if (
            candidate
            and not subprocess.run(
                [candidate, '-c', check], capture_output=True, check=False
            ).returncode
        ):
            yield candidate
