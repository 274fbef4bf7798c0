# SPDX-License-Identifier: GPL-2.0-or-later
"""The quota of a repository: counting, reserving and refusing."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import sys

import pytest
from conftest import ROOT
from helpers.lfsserver_http import Server, chunked, head, oid_of

from hgext3rd.lfsserver import errors
from hgext3rd.lfsserver.stores import usage
from hgext3rd.lfsserver.stores.files import FileCreator
from hgext3rd.lfsserver.stores.localparts import PREFIX, part_oid
from hgext3rd.lfsserver.stores.quota import Quota
from hgext3rd.lfsserver.stores.usage import ListedUsage, LocalUsage

OID = '1' * 64
OTHER = '2' * 64


def blob(folder: pathlib.Path, oid: str, size: int) -> None:
    path = folder / oid[:2] / oid[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))


def test_local_usage_follows_changes(tmp_path: pathlib.Path) -> None:
    counted = LocalUsage(str(tmp_path), part_oid)
    assert counted.total(()) == 0
    blob(tmp_path, OID, 10)
    blob(tmp_path, OTHER, 20)
    assert counted.total({OID, OTHER}) == 30
    blob(tmp_path, '1' * 63 + '2', 5)
    assert counted.total({OID, OTHER}) == 35
    (tmp_path / OTHER[:2] / OTHER[2:]).unlink()
    assert counted.total(()) == 15
    part = tmp_path / '33' / f'{PREFIX}{"3" * 62}-9-x'
    part.parent.mkdir()
    part.write_bytes(bytes(4))
    (tmp_path / '33' / '.upload-other').write_bytes(bytes(100))
    assert counted.total(()) == 19
    part.write_bytes(bytes(7))
    assert counted.total(()) == 22
    assert counted.total({'3' * 64}) == 15


def test_local_usage_reads_only_changed_folders(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = LocalUsage(str(tmp_path), part_oid)
    blob(tmp_path, OID, 10)
    blob(tmp_path, OTHER, 20)
    for oid in (OID, OTHER):
        os.utime(tmp_path / oid[:2], ns=(10**18 + 1, 10**18 + 1))
    assert counted.total(()) == 30
    read = []
    scandir = os.scandir

    def noted(path: str) -> object:
        read.append(path)
        return scandir(path)

    monkeypatch.setattr(os, 'scandir', noted)
    assert counted.total(()) == 30
    assert read == []
    blob(tmp_path, '2' * 63 + '3', 1)
    assert counted.total(()) == 31
    assert read == [str(tmp_path / '22')]


def test_listed_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = {OID: 10}
    parts: list[tuple[str, int]] = []
    listings = []

    def listing() -> tuple[dict[str, int], list[tuple[str, int]]]:
        listings.append(1)
        return dict(blobs), list(parts)

    counted = ListedUsage(listing)
    assert counted.total(()) == 10
    counted.expect(OTHER, 5, 9e9)
    assert counted.total(()) == 15
    assert counted.total({OTHER}) == 10
    assert len(listings) == 1
    monkeypatch.setattr(usage, 'LISTING_LIFETIME', 0)
    parts.append((OTHER, 3))
    assert counted.total(()) == 15
    blobs[OTHER] = 6
    parts.clear()
    assert counted.total(()) == 16
    counted.expect('3' * 64, 5, 0)
    assert counted.total(()) == 16


@pytest.fixture
def quota(tmp_path: pathlib.Path) -> Quota:
    return Quota(
        100,
        LocalUsage(str(tmp_path / 'objects'), part_oid),
        str(tmp_path / 'reserved'),
        FileCreator(),
    )


def test_reservations_exclude_each_other(
    quota: Quota, tmp_path: pathlib.Path
) -> None:
    blob(tmp_path / 'objects', OID, 40)
    with quota.reserve(OTHER, 60) as first:
        with pytest.raises(errors.OutOfSpace, match='quota of 100 bytes'):
            quota.reserve(OTHER, 1)
        first.resize(30)
        with quota.reserve(OTHER, 30):
            assert quota.used() == 100
            with pytest.raises(errors.OutOfSpace):
                first.resize(31)
    assert quota.used() == 40
    assert os.listdir(tmp_path / 'reserved') == []


def test_reservations_of_another_process(
    quota: Quota, tmp_path: pathlib.Path
) -> None:
    """They count while the process lives, and end with it."""
    script = f"""if True:
        import sys
        from hgext3rd.lfsserver.stores.files import FileCreator
        from hgext3rd.lfsserver.stores.localparts import part_oid
        from hgext3rd.lfsserver.stores.quota import Quota
        from hgext3rd.lfsserver.stores.usage import LocalUsage
        none = LocalUsage({str(tmp_path / 'objects')!r}, part_oid)
        folder = {str(tmp_path / 'reserved')!r}
        quota = Quota(100, none, folder, FileCreator())
        reservation = quota.reserve({OID!r}, 70)
        print('reserved', flush=True)
        sys.stdin.read()
    """
    process = subprocess.Popen(
        [sys.executable, '-c', script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b'reserved\n'
        assert quota.used() == 70
        with pytest.raises(errors.OutOfSpace):
            quota.reserve(OTHER, 31)
        process.kill()
    assert quota.used() == 0
    assert os.listdir(tmp_path / 'reserved') == []


def test_content_of_unknown_length(quota: Quota) -> None:
    with quota.reserve(OID, 0) as reservation:
        taken = []
        with pytest.raises(errors.OutOfSpace):
            for block in reservation.covering(
                [bytes(60), bytes(30), bytes(20)]
            ):
                taken.append(len(block))
        assert taken == [60, 30]


def test_quota_over_http(tmp_path: pathlib.Path) -> None:
    server = Server('single', tmp_path, '[lfsserver]\nquota = 1000\n')
    process = server.start()
    with contextlib.ExitStack() as stack:
        stack.callback(process.wait)
        stack.callback(process.terminate)
        first, second = bytes(600), b'2' * 500
        assert server.put(first).status == 201
        before = server.files()
        answer = server.put(second)
        assert answer.status == 507
        assert 'quota of 1000 bytes' in answer.message
        assert server.put(first).status == 200
        objects = [
            {'oid': oid_of(data), 'size': len(data)}
            for data in (first, b'3' * 300, second, b'4' * 100, b'5')
        ]
        document = {'operation': 'upload', 'objects': objects}
        answers = server.batch(document).json['objects']
        assert [a.get('error', {}).get('code') for a in answers] == [
            None,
            None,
            507,
            None,
            507,
        ]
        assert 'quota' in answers[2]['error']['message']
        path = f'/open/.hg/lfs/objects/{oid_of(second)}'
        fields = 'Transfer-Encoding: chunked', 'Connection: close'
        reply = server.raw(head('PUT', path, *fields) + chunked(second))
        assert reply.startswith(b'HTTP/1.1 507 ')
        assert server.files() == before
        assert server.put(b'3' * 300).status == 201
        assert server.put(b'4' * 100).status == 201
        assert server.put(b'5').status == 507
        assert 'Traceback' not in server.log.read_text()
