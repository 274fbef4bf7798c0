# SPDX-License-Identifier: GPL-2.0-or-later
"""Optional features that tests need, and how to find out whether they exist.

A .t file names them with ``#require`` or ``#if``; Mercurial's ``hghave`` loads
this file from the folder of the tests.  A pytest module names them with the
marker ``needs`` of conftest.py.  Under pytest there is no ``hghave`` module.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable

#: The check and the description of each feature by name, for pytest.
features: dict[str, tuple[Callable[[], bool], str]] = {}

try:
    import hghave
except ImportError:
    hghave = None


def check(
    name: str, description: str
) -> Callable[[Callable[[], bool]], Callable[[], bool]]:
    """Return a decorator that registers a feature here and with hghave."""

    def register(func: Callable[[], bool]) -> Callable[[], bool]:
        features[name] = (func, description)
        if hghave is not None:
            hghave.check(name, description)(func)
        return func

    return register


def has_module(name: str) -> bool:
    """Tell whether the Python under test can import a module.

    run-tests.py starts hghave through a symbolic link to that Python.  Started
    that way, Python does not find its virtual environment, so the Python that
    the variable PYTHON names is asked.
    """
    python = os.environ.get('PYTHON')
    if hghave is None or not python:
        try:
            return importlib.util.find_spec(name) is not None
        except ModuleNotFoundError:
            return False
    find = 'import importlib.util as u, sys; sys.exit(not u.find_spec(%r))'
    done = subprocess.run(
        [python, '-c', find % name], capture_output=True, check=False
    )
    return not done.returncode


def has_program(name: str) -> bool:
    """Tell whether a program is on PATH or, as daemons on Debian, in /usr/sbin."""
    path = os.environ.get('PATH', '') + os.pathsep + '/usr/sbin'
    return shutil.which(name, path=path) is not None


@check('git-lfs', 'git with the git-lfs client')
def has_git_lfs() -> bool:
    return has_program('git') and has_program('git-lfs')


@check('redis', 'redis-server and its Python client')
def has_redis() -> bool:
    return has_program('redis-server') and has_module('redis')


@check('obstore', 'obstore Python module')
def has_obstore() -> bool:
    return has_module('obstore')


@check('s3', 'obstore and the moto S3 server')
def has_s3() -> bool:
    return has_module('obstore') and has_module('moto.server')


@check('litestream', 'litestream program')
def has_litestream() -> bool:
    return has_program('litestream') or os.access(
        os.path.join(os.path.dirname(sys.executable), 'litestream'), os.X_OK
    )


@check('gunicorn', 'gunicorn WSGI server')
def has_gunicorn() -> bool:
    return has_module('gunicorn')


@check('nginx', 'nginx HTTP server')
def has_nginx() -> bool:
    return has_program('nginx')


@check('systemd', 'systemd-analyze and systemd-socket-activate')
def has_systemd() -> bool:
    return has_program('systemd-analyze') and has_program(
        'systemd-socket-activate'
    )


@check('logrotate', 'logrotate program')
def has_logrotate() -> bool:
    return has_program('logrotate')


@check('hadolint', 'hadolint, which checks Dockerfiles')
def has_hadolint() -> bool:
    return has_program('hadolint') or os.access(
        os.path.join(os.path.dirname(sys.executable), 'hadolint'), os.X_OK
    )


@check('docker', 'Docker that can get the base image of the sample')
def has_docker() -> bool:
    if not has_program('docker'):
        return False
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with open(os.path.join(folder, 'docs', 'deploy', 'Dockerfile')) as file:
        tag = file.read().partition('ARG PYTHON=')[2].split()[0]
    for command in (['info'], ['pull', '-q', f'python:{tag}']):
        done = subprocess.run(
            ['docker', *command], capture_output=True, check=False
        )
        if done.returncode:
            return False
    return True


@check('chromium', 'Chromium with its driver, and the selenium Python module')
def has_chromium() -> bool:
    return (
        has_program('chromium')
        and has_program('chromedriver')
        and has_module('selenium')
    )


@check('prometheus', 'prometheus-client Python module')
def has_prometheus() -> bool:
    return has_module('prometheus_client')


@check('evolve', 'evolve extension')
def has_evolve() -> bool:
    return has_module('hgext3rd.evolve')


@check('hg60', 'Mercurial 6.0, named by AMALGAM_HG60')
def has_hg60() -> bool:
    hg = os.environ.get('AMALGAM_HG60')
    if not hg:
        return False
    done = subprocess.run(
        [hg, 'version', '-q'], capture_output=True, check=False
    )
    return b'(version 6.0' in done.stdout


@check('strace', 'strace, and permission to trace a process')
def has_strace() -> bool:
    if not has_program('strace'):
        return False
    done = subprocess.run(
        ['strace', '-e', 'trace=none', 'true'], capture_output=True, check=False
    )
    return not done.returncode


@check('ext4-image', 'permission to mount the image of an ext4 file system')
def has_ext4_image() -> bool:
    if not has_program('mkfs.ext4') or not has_program('mount'):
        return False
    path = os.environ.get('PATH', '') + os.pathsep + '/usr/sbin'
    script = """
        truncate -s 4M image && mkfs.ext4 -q image && mkdir folder &&
        mount -o loop image folder && umount folder
    """
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ['sh', '-c', script],
            cwd=folder,
            env={**os.environ, 'PATH': path},
            capture_output=True,
            check=False,
        )
    return not done.returncode


@check('small-tmpfs', 'permission to mount a tmpfs')
def has_small_tmpfs() -> bool:
    script = 'mount -t tmpfs -o size=1m tmpfs "$PWD" && umount "$PWD"'
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ['sh', '-c', script], cwd=folder, capture_output=True, check=False
        )
    return not done.returncode


@check('linux', 'Linux, with /proc')
def has_linux() -> bool:
    return os.path.exists('/proc/locks')
