# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of "hg admin::doctor" that judge, without a deployment.

``test-amalgam-doctor*.t`` and ``test-sqlitestore-doctor.t`` produce the trouble
itself.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest
from mercurial import util

from hgext3rd.amalgam import doctor
from hgext3rd.amalgam.doctor import (
    asking,
    clocks,
    filesystems,
    permissions,
    secrets,
)
from hgext3rd.amalgam.doctor.findings import User
from hgext3rd.sqlitestore.database import health

HG = pathlib.Path(sys.executable).with_name('hg')


# The command


@pytest.mark.parametrize(
    'names',
    [
        ('sqlitestore',),
        ('wireprotov2',),
        ('lfsserver',),
        ('lfsserver', 'sqlitestore', 'wireprotov2'),
    ],
    ids=len,
)
def test_the_command_is_there_once(
    names: tuple[str, ...], tmp_path: pathlib.Path
) -> None:
    """Mercurial warns if two extensions define the same command."""
    options = [f'--config=extensions.{name}=' for name in names]
    ran = subprocess.run(
        [HG, *options, 'help', 'admin::doctor'],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert b'look at a deployment' in ran.stdout
    assert not ran.stderr


def test_a_module_is_registered_once() -> None:
    table: dict = {}
    before = dict(doctor._modules)
    try:
        doctor.register(table, 'some.module', ('a',))
        doctor.register(table, 'some.module', ('b',))
        assert set(table) == {b'admin::doctor'}
        assert doctor._modules == {**before, 'some.module': ('b',)}
    finally:
        doctor._modules.clear()
        doctor._modules.update(before)


# File systems

MOUNTS = b"""\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:50 / /srv rw master:1 propagate_from:2 - nfs4 server:/x rw,vers=4.2
31 30 0:51 / /srv/with\\040space rw - tmpfs tmpfs rw
32 22 0:52 / /tmp rw - tmpfs tmpfs rw
33 22 8:2 / /tmp rw - xfs /dev/sdb1 rw
not a mount
34 22 0:53 / /short -
"""


def test_mounts_are_parsed() -> None:
    assert filesystems.parse_mounts(MOUNTS) == {
        b'/': b'ext4',
        b'/srv': b'nfs4',
        b'/srv/with space': b'tmpfs',
        # The last mount of a point counts.
        b'/tmp': b'xfs',
    }


@pytest.mark.parametrize(
    ('path', 'kind'),
    [
        (b'/nowhere/at/all', b'ext4'),
        (b'/srv', b'nfs4'),
        (b'/srvx', b'ext4'),
        (b'/tmp', b'xfs'),
    ],
)
def test_the_nearest_mount_counts(
    path: bytes,
    kind: bytes,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mounts = tmp_path / 'mounts'
    mounts.write_bytes(MOUNTS)
    monkeypatch.setattr(filesystems, 'MOUNTS', str(mounts))
    monkeypatch.setattr(os.path, 'exists', lambda _path: True)
    monkeypatch.setattr(os.path, 'realpath', lambda path: path)
    assert filesystems.kind_of(path) == kind


def test_mercurial_knows_the_kind_without_a_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(filesystems, 'MOUNTS', '/nonexistent')
    monkeypatch.setattr(util, 'getfstype', lambda _path: b'hfs')
    assert filesystems.kind_of(b'/') == b'hfs'


# Locks

LOCKS = b"""\
1: POSIX  ADVISORY  READ 100 08:01:5000 128 128
1: -> POSIX  ADVISORY  WRITE 101 08:01:5000 128 128
2: POSIX  ADVISORY  READ 100 08:01:5000 124 124
3: FLOCK  ADVISORY  WRITE 102 08:01:5000 0 EOF
4: POSIX  ADVISORY  READ 103 08:01:4999 128 128
5: POSIX  ADVISORY  WRITE 104 08:01:6000 0 EOF
6: POSIX  ADVISORY  READ x 08:01:5000 128 128
"""


def test_locks_are_parsed() -> None:
    assert health.parse_locks(LOCKS) == [
        health.Lock(100, 5000, 128, 128),
        health.Lock(100, 5000, 124, 124),
        health.Lock(103, 4999, 128, 128),
        health.Lock(104, 6000, 0, 1 << 63),
    ]


# Permissions


def state(mode: int, uid: int, gid: int) -> os.stat_result:
    return os.stat_result((mode, 0, 0, 1, uid, gid, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ('mode', 'uid', 'gid', 'allowed'),
    [
        (0o600, 7, 0, True),
        # The class of the owner counts, even if others may more.
        (0o066, 7, 0, False),
        (0o060, 0, 70, True),
        (0o606, 0, 70, False),
        (0o006, 0, 0, True),
        (0o660, 0, 0, False),
        (0o400, 7, 0, False),
    ],
)
def test_permissions_are_those_of_one_class(
    mode: int, uid: int, gid: int, allowed: bool
) -> None:
    user = User(b'u', 7, frozenset((70,)))
    assert user.may(state(mode, uid, gid), 6) is allowed
    assert User(b'root', 0, frozenset()).may(state(mode, uid, gid), 6)


def test_users_without_a_name_have_a_number() -> None:
    assert permissions.user_of(987654).name == b'987654'
    assert permissions.group_named(987654) == b'987654'


# Clocks


def answer(date: str | None, began: float, ended: float) -> asking.Answer:
    headers = {} if date is None else {'date': date}
    return asking.Answer(200, 'OK', headers, b'', began, ended)


@pytest.mark.parametrize(
    ('began', 'ended', 'difference'),
    [
        (1000.0, 1000.1, 0),
        # The date has no fractions.
        (1000.9, 1000.95, 0),
        # It is of some time in a slow request.
        (900.0, 1100.0, 0),
        (1011.0, 1011.5, -10),
        (980.0, 990.0, 10),
    ],
)
def test_clocks_are_compared(
    began: float, ended: float, difference: float
) -> None:
    date = 'Thu, 01 Jan 1970 00:16:40 GMT'
    assert clocks.difference(answer(date, began, ended)) == difference


@pytest.mark.parametrize('date', [None, '', 'yesterday'])
def test_a_wrong_date_is_unknown(date: str | None) -> None:
    assert clocks.difference(answer(date, 0, 1)) is None
    assert list(clocks.judge(answer(date, 0, 1), b'x')) == []


# Secrets


def test_secrets_are_found() -> None:
    found = secrets.values(
        [
            (b'store:secret_access_key', b'very-secret'),
            (b'x.password', b'pass-word'),
            (b'short.password', b'abc'),
            (b'cacher.redis.url', b'redis://:in-url@host/0'),
            (b'username', b'somebody'),
        ],
        {b'AWS_SECRET_ACCESS_KEY': b'from-environment', b'HOME': b'/home/x'},
    )
    assert set(found) == {
        b'very-secret',
        b'pass-word',
        b'in-url',
        b'from-environment',
    }


@pytest.mark.parametrize(
    ('text', 'shown'),
    [
        (b'key very-secret is wrong', b'key *** is wrong'),
        (b'at https://me:pw@host/path', b'at https://***@host/path'),
        (b'https://h/x?X-Amz-Signature=abc', b'https://h/x?***'),
        (b"'https://h/x?a=b' failed", b"'https://h/x?***' failed"),
        (b'mail to me@example.com?', b'mail to me@example.com?'),
    ],
)
def test_secrets_are_hidden(text: bytes, shown: bytes) -> None:
    assert secrets.hide(text, [b'very-secret']) == shown
