# SPDX-License-Identifier: GPL-2.0-or-later
"""Creation of endpoints from the configuration of a repository.

Nothing here knows requests. All endpoints of a process share one count of
running transfers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..api.endpoint import COUNTED, Endpoint, Limits, TransferGate
from ..stores import configured

# ``lfsserver.max-transfers`` is a limit for the whole process.
_gate = TransferGate()


def _after_fork() -> None:
    """Count anew: the transfers of the parent do not run in this process."""
    global _gate
    _gate = TransferGate()


os.register_at_fork(after_in_child=_after_fork)


def log_of(repo: Any) -> Callable[[str], None]:
    """Return a function that writes a line to the log of ``repo``.

    Only one thread at a time may use it.
    """

    def log(line: str) -> None:
        repo.ui.log(b'lfsserver', b'%s\n', line.encode('utf-8', 'replace'))

    return log


def endpoint_of(repo: Any, url: str, log: Callable[[str], None]) -> Endpoint:
    """Return the endpoint of ``repo``, whose address for clients is ``url``.

    ``log`` writes a line to the log of the repository. Raises StoreUnavailable.
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
        count=configured.counters(repo, COUNTED).add,
    )


class EndpointFactory:
    """Makes endpoints of ``repo`` for any address; opens its stores only once.

    ``log`` writes a line to the log of the repository. Threads may share it.
    """

    def __init__(self, repo: Any, log: Callable[[str], None]) -> None:
        self._repo = repo
        self._log = log
        self._made: Endpoint | None = None

    def at(self, url: str) -> Endpoint:
        """Return the endpoint whose address for clients is ``url``.

        Raises StoreUnavailable.
        """
        if self._made is None:
            self._made = endpoint_of(self._repo, url, self._log)
        return replace(self._made, url=url)
