# SPDX-License-Identifier: GPL-2.0-or-later
"""Promises: blobs that clients need not upload are not deleted meanwhile."""

from __future__ import annotations

import pathlib

import pytest

from hgext3rd.lfsserver import errors
from hgext3rd.lfsserver.api.endpoint import Endpoint, Limits, TransferGate
from hgext3rd.lfsserver.stores.blobs import Blob
from hgext3rd.lfsserver.stores.files import FileCreator
from hgext3rd.lfsserver.stores.local import LocalStore
from hgext3rd.lfsserver.stores.promises import FRESH, PromiseStore
from hgext3rd.lfsserver.stores.verdicts import VerdictCache

OID = '1' * 64
OTHER = '2' * 64


@pytest.fixture
def promises(tmp_path: pathlib.Path) -> PromiseStore:
    return PromiseStore(str(tmp_path / 'promised.sqlite'))


def test_promises(promises: PromiseStore) -> None:
    assert promises.reader(0)(OID) is False
    promises.renew([OID], 10_000)
    assert promises.reader(10_000)(OID) is True
    assert promises.reader(10_001)(OID) is False
    # Not written again within the time in which it counts as new.
    promises.renew([OID, OTHER], 10_000 + FRESH)
    assert promises.reader(10_001)(OID) is False
    promises.renew([OID], 10_001 + FRESH)
    with promises.halted(10_001 + FRESH) as promised:
        assert promised(OID) is True
        # The other one has been forgotten.
        assert promised(OTHER) is False
    assert promises.reader(0)(OTHER) is False


def test_nobody_promises_meanwhile(
    promises: PromiseStore,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import threading

    from hgext3rd.lfsserver.stores import database

    monkeypatch.setattr(database, 'BUSY_TIMEOUT', 0)
    failures = []

    def renew() -> None:
        try:
            promises.renew([OID], 1)
        except errors.StoreUnavailable as failure:
            failures.append(failure)

    with promises.halted(0):
        thread = threading.Thread(target=renew)
        thread.start()
        thread.join()
    assert 'locked' in failures[0].full_text


def test_endpoint_keeps_old_blobs(
    promises: PromiseStore, tmp_path: pathlib.Path
) -> None:
    verdicts = VerdictCache(str(tmp_path / 'verdicts'))
    now = 10 * FRESH
    endpoint = Endpoint(
        store=LocalStore(str(tmp_path / 'lfs'), verdicts, FileCreator()),
        links=None,
        locks=None,
        limits=Limits(),
        url='',
        admit=lambda: TransferGate().enter(0),
        log=lambda line: None,
        now=lambda: now,
        promises=promises,
    )
    blobs = {
        OID: Blob(OID, 1, now),
        # It was deleted after it had been looked up.
        OTHER: Blob(OTHER, 1, 0),
    }
    assert set(endpoint.keep(blobs)) == {OID}
    assert promises.reader(0)(OID) is False
    assert promises.reader(0)(OTHER) is True
