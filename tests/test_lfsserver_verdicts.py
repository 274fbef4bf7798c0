# SPDX-License-Identifier: GPL-2.0-or-later
"""The cache of verdicts on files that have been hashed."""

from __future__ import annotations

import os
import pathlib

import pytest

from hgext3rd.lfsserver.stores import verdicts
from hgext3rd.lfsserver.stores.verdicts import Verdict, VerdictCache


@pytest.fixture
def path(tmp_path: pathlib.Path) -> str:
    return str(tmp_path / 'cache' / 'verified.sqlite')


OID = 'ab' * 32
VERDICT = Verdict(5, 10**18, True)


def test_verdicts_are_kept(path: str) -> None:
    store = VerdictCache(path)
    assert store.get([OID]) == {}
    store.add({OID: VERDICT})
    assert store.get([OID]) == {OID: VERDICT}
    store.flush()
    assert VerdictCache(path).get([OID, '00' * 32]) == {OID: VERDICT}
    store.discard(OID)
    assert store.get([OID]) == {}
    assert VerdictCache(path).get([OID]) == {}


def test_many_verdicts(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, 'MAX_REMEMBERED', 100)
    added = {f'{number:064x}': VERDICT for number in range(2000)}
    VerdictCache(path).add(added)
    store = VerdictCache(path)
    assert store.get(added) == added
    assert len(store._memory) <= 100


def test_damaged_verdicts_are_replaced(path: str) -> None:
    os.makedirs(os.path.dirname(path))
    pathlib.Path(path).write_bytes(b'not a database' * 100)
    store = VerdictCache(path)
    assert store.get([OID]) == {}
    store.add({OID: VERDICT})
    store.flush()
    assert VerdictCache(path).get([OID]) == {OID: VERDICT}


def test_cheap_verdicts_are_written_together(path: str) -> None:
    """Each transaction would take longer than to hash a small file again."""
    store = VerdictCache(path)
    added = {
        f'{number:064x}': VERDICT for number in range(verdicts.MAX_UNWRITTEN)
    }
    for oid in added:
        assert VerdictCache(path).get(added) == {}
        store.add({oid: VERDICT})
    assert VerdictCache(path).get(added) == added
    large = Verdict(verdicts.MAX_UNWRITTEN_BYTES, 10**18, True)
    store.add({OID: large})
    assert VerdictCache(path).get([OID]) == {OID: large}
    # One that was not written yet is forgotten as well.
    store.add({OID: VERDICT})
    store.discard(OID)
    store.flush()
    assert VerdictCache(path).get([OID]) == {}


def test_unwritable_verdicts(tmp_path: pathlib.Path) -> None:
    (tmp_path / 'file').write_text('in the way')
    store = VerdictCache(str(tmp_path / 'file' / 'verified.sqlite'))
    store.add({OID: VERDICT})
    assert store.get([OID]) == {OID: VERDICT}
