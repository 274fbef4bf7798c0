# SPDX-License-Identifier: GPL-2.0-or-later
"""What the sample files for deployment promise about LFS."""

from __future__ import annotations

import pathlib

import pytest
from helpers import nginx
from helpers.lfsserver_deployment import DEPLOY, Deployment
from helpers.lfsserver_http import Server, oid_of, started


def test_repositories_are_isolated(tmp_path: pathlib.Path) -> None:
    """Who may read one repository cannot read the blobs of another."""
    pytest.importorskip('gunicorn')
    with started(Deployment(tmp_path)) as server:
        data = b'private'
        path = f'.hg/lfs/objects/{oid_of(data)}'
        headers = {'X-Remote-User': 'alice', 'X-Forwarded-Proto': 'https'}
        answer = server.request('PUT', f'/a/{path}', data, headers)
        assert answer.status == 201, answer.body
        assert server.request('GET', f'/a/{path}').body == data
        assert server.request('GET', f'/b/{path}').status == 404
        caches = [p for p in tmp_path.rglob('*') if p.name == oid_of(data)[2:]]
        assert len(caches) == 1
    assert 'Traceback' not in server.log.read_text()


# Requests by the machines that may answer them: locks and uploads in progress
# are on one of them.
POOLS = {
    'hg_write': [
        ('POST', '/r/.git/info/lfs/objects/batch'),
        ('GET', '/r/.git/info/lfs/locks?path=x'),
        ('POST', '/r/info/lfs/locks/verify'),
        ('PUT', f'/r/.hg/lfs/objects/{"1" * 64}'),
        ('POST', f'/r/.hg/lfs/objects/{"1" * 64}/verify'),
        ('HEAD', f'/r/.hg/lfs/uploads/{"1" * 64}/5'),
        ('PATCH', f'/r/.hg/lfs/uploads/{"1" * 64}/5'),
        ('POST', '/r?cmd=unbundle'),
    ],
    'hg_read': [
        ('GET', f'/r/.hg/lfs/objects/{"1" * 64}'),
        ('HEAD', f'/r/.hg/lfs/objects/{"1" * 64}'),
        ('GET', '/r?cmd=capabilities'),
        ('GET', '/r/file/tip/info/lfs.txt'),
    ],
}


def test_machines(tmp_path: pathlib.Path) -> None:
    """The sample for nginx sends each request to a machine that can answer."""
    server = Server('gunicorn', tmp_path)
    text = (DEPLOY / 'nginx.conf').read_text()
    # No machine answers. The error page says which were chosen.
    text = text.replace('unix:/run/hg/', f'unix:{tmp_path}/').replace(
        'listen 80;',
        f'listen 127.0.0.1:{server.port}; add_header X-Pool $hg_pool always;',
    )
    with nginx.running(tmp_path, text, server.port):
        for pool, requests in POOLS.items():
            for method, path in requests:
                answer = server.request(method, path)
                assert answer.status == 502
                assert (answer.headers['X-Pool'], method, path) == (
                    pool,
                    method,
                    path,
                )
