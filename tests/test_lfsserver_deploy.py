# SPDX-License-Identifier: GPL-2.0-or-later
"""What the sample files for deployment promise about LFS."""

from __future__ import annotations

import pathlib

import pytest
from helpers.lfsserver_deployment import Deployment
from helpers.lfsserver_http import oid_of, started


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
