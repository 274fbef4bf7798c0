# SPDX-License-Identifier: GPL-2.0-or-later
"""Creation of endpoints from the configuration of a repository.

Nothing here knows requests. All endpoints of a process share one count of
running transfers.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

from ..api.endpoint import Endpoint, Limits, TransferGate
from ..stores import configured

# ``lfsserver.max-transfers`` is a limit for the whole process.
_gate = TransferGate()


def _after_fork() -> None:
    """Count anew: the transfers of the parent do not run in this process."""
    global _gate
    _gate = TransferGate()


os.register_at_fork(after_in_child=_after_fork)


def endpoint_of(repo: Any, url: str) -> Endpoint:
    """Return the endpoint of ``repo``, whose address for clients is ``url``.

    Raises StoreUnavailable.
    """
    ui = repo.ui
    limits = Limits(
        object_size=ui.configbytes(b'lfsserver', b'max-object-size'),
        batch=ui.configint(b'lfsserver', b'max-batch'),
        lifetime=ui.configint(b'lfsserver', b'link-lifetime'),
    )
    max_transfers = ui.configint(b'lfsserver', b'max-transfers')
    with_locks = ui.configbool(b'lfsserver', b'locks')
    roles = configured.blob_store(repo)

    def log(line: str) -> None:
        ui.log(b'lfsserver', b'%s\n', line.encode('utf-8', 'replace'))

    return Endpoint(
        store=roles.blobs,
        links=roles.links,
        locks=configured.lock_store(repo) if with_locks else None,
        limits=limits,
        url=url,
        admit=lambda: _gate.enter(max_transfers),
        log=log,
        now=time.time,
        promises=configured.promise_store(repo),
        partials=roles.partials,
        quota=configured.quota(repo, roles),
    )


class EndpointFactory:
    """Makes endpoints of ``repo`` for any address; opens its stores only once.

    Threads may share it.
    """

    def __init__(self, repo: Any) -> None:
        self._repo = repo
        self._made: Endpoint | None = None

    def at(self, url: str) -> Endpoint:
        """Return the endpoint whose address for clients is ``url``.

        Raises StoreUnavailable.
        """
        if self._made is None:
            self._made = endpoint_of(self._repo, url)
        return replace(self._made, url=url)
