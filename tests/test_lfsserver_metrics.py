# SPDX-License-Identifier: GPL-2.0-or-later
"""What monitoring learns about the large files of a repository."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
from helpers.lfsserver_http import CONTENT, Server, oid_of, one, started

from hgext3rd.lfsserver.integration import metrics

hg = pytest.importorskip('mercurial.hg')

EXTRA = """\
quota = 20KB
"""


def values(path: pathlib.Path, **config: str) -> dict[str, float]:
    """Return the samples of a repository by name and labels."""
    from mercurial import ui as uimod

    ui: Any = uimod.ui.load()
    options = {'serve': 'yes', 'locks': 'yes', 'store': 'local', 'quota': '0'}
    for option, text in {**options, **config}.items():
        ui.setconfig(b'lfsserver', option.encode(), text.encode())
    repo = hg.repository(ui, bytes(path))
    found = {}
    for name, about, kind, value, labels in metrics.samples(repo):
        assert about.endswith('.')
        assert kind == ('counter' if name.endswith('_total') else 'gauge')
        found[
            ' '.join([name.removeprefix('amalgam_lfs_'), *labels.values()])
        ] = value
    return found


def test_samples(tmp_path: pathlib.Path) -> None:
    pytest.importorskip('gunicorn')
    server = Server('gunicorn', tmp_path, EXTRA)
    size = len(CONTENT)
    with started(server):
        assert server.put(CONTENT).status == 201
        for _ in range(3):
            assert server.get(oid_of(CONTENT)).status == 200
        assert server.get(oid_of(CONTENT), Range='bytes=0-9').status == 206
        assert server.put(CONTENT * 2).status == 507
        assert server.put(b'x', oid=oid_of(b'y')).status == 422
        results = server.batch(one(size=15_000)).json['objects']
        assert results[0]['error']['code'] == 507
        path = '/open/.git/info/lfs/locks'
        assert server.request('POST', path, {'path': 'a'}).status == 201
        assert server.request('POST', path, {'path': 'a'}).status == 409
        found = values(tmp_path / 'open', quota='20KB')
    expected = {
        'transfers_total download': 4,
        'transfers_total upload': 1,
        'transferred_bytes_total download': 3 * size + 10,
        'transferred_bytes_total upload': size + 1,
        'refusals_total 401': 0,
        'refusals_total 403': 0,
        'refusals_total 409': 1,
        'refusals_total 413': 0,
        'refusals_total 422': 1,
        'refusals_total 429': 0,
        'refusals_total 503': 0,
        'refusals_total 507': 2,
        'locks': 1,
        'stored_bytes': size,
        'blobs': 1,
        'quota_bytes': 20 * 1024,
    }
    assert found == expected
    # After the server has ended, and without a quota.
    del expected['quota_bytes']
    assert values(tmp_path / 'open') == expected


def test_repositories_that_serve_nothing(tmp_path: pathlib.Path) -> None:
    from mercurial import ui as uimod

    hg.repository(uimod.ui.load(), bytes(tmp_path / 'r'), create=True)
    before = sorted(tmp_path.rglob('*'))
    assert values(tmp_path / 'r', serve='no') == {}
    assert sorted(tmp_path.rglob('*')) == before
    found = values(tmp_path / 'r', locks='no')
    assert 'locks' not in found
    assert set(found.values()) == {0}
