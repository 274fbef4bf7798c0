# SPDX-License-Identifier: GPL-2.0-or-later
"""The recommended deployment of LFS, as ``docs/deploy`` describes it."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

from conftest import ROOT, accepts, wait_for

from .lfsserver_http import Server

DEPLOY = ROOT / 'docs' / 'deploy'


class Deployment(Server):
    """The sample WSGI application with the repositories "a" and "b".

    The file ``conf`` is the configuration of hgwebdir, and the folder ``rc`` has
    that of the user. A proxy would authenticate users: the field X-Remote-User
    names them.
    """

    def __init__(self, folder: pathlib.Path, extra: str = '') -> None:
        super().__init__('gunicorn', folder, extra)
        self.conf = folder / 'hgweb.conf'
        self.rc = folder / 'rc'

    def start(self) -> subprocess.Popen[bytes]:
        self.rc.mkdir()
        text = (DEPLOY / 'hgweb.conf').read_text()
        paths = '[paths]\n/project = /srv/hg/project\n'
        assert text.startswith(paths)
        names = [f'/{n} = {self.folder}/{n}\n' for n in 'ab']
        text = text.replace(paths, '[paths]\n' + ''.join(names))
        # These tests have no Redis server.
        text += '[wireprotov2]\ncacher = none\n'
        self.conf.write_text(text + self.extra)
        env = dict(
            os.environ,
            HGRCPATH=str(self.rc),
            PYTHONPATH=f'{ROOT}:{DEPLOY}',
            HOME=str(self.folder),
            HGWEB_CONFIG=str(self.conf),
        )
        for name in 'ab':
            self.create(self.folder / name)
        application = self.folder / 'hgweb_wsgi.py'
        application.write_text((DEPLOY / 'hgweb.wsgi.py').read_text())
        command = [sys.executable, '-m', 'gunicorn']
        command += ['--worker-class', 'gthread', '--threads', '4']
        command += ['-b', f'127.0.0.1:{self.port}', '--chdir']
        command += [str(self.folder), '--log-file', str(self.log)]
        command += ['hgweb_wsgi:application']
        process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
        wait_for(lambda: accepts(self.port), 'gunicorn', process)
        return process

    def create(self, root: pathlib.Path) -> None:
        """Create a repository."""
        hg = str(pathlib.Path(sys.executable).with_name('hg'))
        subprocess.check_call(
            [hg, 'init', root], env={**os.environ, 'HGRCPATH': ''}
        )
