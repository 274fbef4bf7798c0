# SPDX-License-Identifier: GPL-2.0-or-later
"""Download two things that the tests need and that no package installs.

Each is downloaded once, into .cache/.

* Mercurial's test runner is not on PyPI by itself.  It comes from the source
  distribution of the version of Mercurial that is installed.
* Mercurial 6.0 is the other end in tests of wire protocol version 2, because
  it is the last series that speaks it.  It needs Python 3.9; without that, its
  tests are skipped.
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

# Variables of the user that would change what tests print, or that make them
# slow.  With unbuffered output, a program writes in several steps, and tests of
# Mercurial that read a pipe once get less.  Without bytecode, each of some
# thousand commands would compile the extensions again.
FOREIGN = (
    'HGRCPATH',
    'HGPLAIN',
    'PYTHONPATH',
    'PYTHONHOME',
    'PYTHONUNBUFFERED',
    'PYTHONDONTWRITEBYTECODE',
)

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
    """Return the tests/ folder of the sources of the installed Mercurial."""
    version = importlib.metadata.version('mercurial')
    target = CACHE / f'mercurial-{version}'
    if not (target / 'tests' / 'run-tests.py').exists():
        print(f'fetching run-tests.py of Mercurial {version}', flush=True)
        _unpack_tests(version, target)
    return target / 'tests'


def _unpack_tests(version: str, target: pathlib.Path) -> None:
    """Download a source distribution; unpack its tests/ and contrib/.

    ``target`` appears complete or not at all: it is renamed into place.
    """
    downloads = CACHE / 'downloads'
    # pip reads the metadata of everything that it downloads.  For this package
    # that compiles nothing; --no-deps keeps it from reading more.
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
    """Return the path of ``hg`` of Mercurial 6.0, or None without it.

    The environment variable ``AMALGAM_HG60`` may name it.  Otherwise this
    function installs it, which takes a while.  A failure is remembered in
    .cache/, so that the next run does not try again.
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
    """Yield the paths of Python 3.9 found on PATH, in pyenv and in uv."""
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
        # Only running it tells whether it works: pyenv has shims on PATH for
        # versions that are not active.
        if (
            candidate
            and not subprocess.run(
                [candidate, '-c', check], capture_output=True, check=False
            ).returncode
        ):
            yield candidate
