# SPDX-License-Identifier: GPL-2.0-or-later
"""What the sample files for deployment promise about LFS."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest
from conftest import ROOT, accepts, wait_for
from helpers.lfsserver_http import Server, oid_of

DEPLOY = ROOT / 'docs' / 'deploy'


class Deployment(Server):
    """The sample WSGI application with the repositories "a" and "b"."""

    def start(self) -> subprocess.Popen[bytes]:
        hg = str(pathlib.Path(sys.executable).with_name('hg'))
        conf = self.folder / 'hgweb.conf'
        text = (DEPLOY / 'hgweb.conf').read_text()
        paths = '[paths]\n/project = /srv/hg/project\n'
        assert text.startswith(paths)
        names = [f'/{n} = {self.folder}/{n}\n' for n in 'ab']
        text = text.replace(paths, '[paths]\n' + ''.join(names))
        # These tests have no Redis server.
        conf.write_text(text + '[wireprotov2]\ncacher = none\n')
        env = dict(
            os.environ,
            HGRCPATH='',
            PYTHONPATH=f'{ROOT}:{DEPLOY}',
            HOME=str(self.folder),
            HGWEB_CONFIG=str(conf),
        )
        for name in 'ab':
            subprocess.check_call(
                [hg, 'init', str(self.folder / name)], env=env
            )
        application = self.folder / 'hgweb_wsgi.py'
        application.write_text((DEPLOY / 'hgweb.wsgi.py').read_text())
        command = [sys.executable, '-m', 'gunicorn']
        command += ['--worker-class', 'gthread', '--threads', '2']
        command += ['-b', f'127.0.0.1:{self.port}', '--chdir']
        command += [str(self.folder), '--log-file', str(self.log)]
        command += ['hgweb_wsgi:application']
        process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
        wait_for(lambda: accepts(self.port), 'gunicorn', process)
        return process


def test_repositories_are_isolated(tmp_path: pathlib.Path) -> None:
    """Who may read one repository cannot read the blobs of another."""
    pytest.importorskip('gunicorn')
    server = Deployment('gunicorn', tmp_path)
    process = server.start()
    try:
        data = b'private'
        path = f'.hg/lfs/objects/{oid_of(data)}'
        headers = {'X-Remote-User': 'alice', 'X-Forwarded-Proto': 'https'}
        answer = server.request('PUT', f'/a/{path}', data, headers)
        assert answer.status == 201, answer.body
        assert server.request('GET', f'/a/{path}').body == data
        assert server.request('GET', f'/b/{path}').status == 404
        caches = [p for p in tmp_path.rglob('*') if p.name == oid_of(data)[2:]]
        assert len(caches) == 1
    finally:
        process.terminate()
        process.wait()
    assert 'Traceback' not in server.log.read_text()
