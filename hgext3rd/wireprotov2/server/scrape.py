# SPDX-License-Identifier: GPL-2.0-or-later
"""Metrics of one repository, and of all repositories of a server at once.

Whoever may pull from a repository may read its metrics. The scrape of a server
has those repositories that its index lists and from which the requester may
pull, each checked as a request to it would be. What repositories share is shown
to those who may pull from all that use it. The others are not counted, and
nothing in the answer depends on their names.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mercurial import error
from mercurial.utils import stringutil

from ...amalgam.serving import collectors, repositories
from ...amalgam.serving.metrics import GAUGE, Sample
from . import gauges, metrics
from .dispatch import Report
from .exchange import SECTION
from .exposition import Exposition

#: Where the metrics are, below the address of a repository or of a server.
PATH = (b'api', b'metrics')

# Repositories that cannot be opened and of which that was reported.
_reported: set[bytes] = set()

_NO_LABELS: dict[str, str] = {}


def of_repository(
    repo: Any, alone: bool, report: Report
) -> tuple[bytes, bytes]:
    """Return the metrics of a repository as text, and the media type.

    Their reader may pull from it. ``alone`` says that the server has no other
    repository.
    """
    exposition = Exposition()
    failures = _measure(exposition, repo, _NO_LABELS, report)
    for resource in gauges.resources(repo):
        # How many others use a common one is not known here.
        if alone or not resource.common:
            failures += _add(exposition, resource, _NO_LABELS, report)
    wanted = {metrics.digest(repo): ['']}
    for metric, sample, _name in metrics.counted(wanted):
        exposition.add_counted(metric, sample, _NO_LABELS)
    _add_failures(exposition, failures)
    return exposition.text()


def of_server(
    app: Any, req: Any, res: Any, report: Report
) -> tuple[bytes, bytes]:
    """Return the metrics of the repositories of an hgwebdir, and the media type.

    They have the label ``repository``.
    """
    exposition = Exposition()
    failures = 0
    wanted: dict[str, list[str]] = {}
    users: dict[Any, list[_Served]] = {}
    resources: dict[Any, gauges.Resource] = {}
    shown = 0
    for found in _served(app, req, res, report):
        if found is None:
            failures += 1
            continue
        with _guarded('wireprotov2', report) as failed:
            for resource in gauges.resources(found.repo):
                resources[resource.key] = resource
                users.setdefault(resource.key, []).append(found)
        failures += len(failed)
        if not found.shown:
            continue
        shown += 1
        wanted.setdefault(metrics.digest(found.repo), []).append(found.name)
        failures += _measure(
            exposition, found.repo, {'repository': found.name}, report
        )
    for key, using in users.items():
        if any(user.shown for user in using) and all(
            user.readable for user in using
        ):
            owner = {'repository': using[0].name} if len(using) == 1 else {}
            failures += _add(exposition, resources[key], owner, report)
    for metric, sample, name in metrics.counted(wanted):
        exposition.add_counted(metric, sample, {'repository': name})
    exposition.add(
        Sample(
            'amalgam_repositories',
            'Repositories in this scrape.',
            GAUGE,
            shown,
        ),
        _NO_LABELS,
    )
    _add_failures(exposition, failures)
    return exposition.text()


@dataclass(frozen=True, slots=True)
class _Served:
    """A repository of a server.

    ``readable`` says whether the requester may pull from it, ``shown`` whether
    the scrape has it under its name.
    """

    name: str
    repo: Any
    readable: bool
    shown: bool


def _served(
    app: Any, req: Any, res: Any, report: Report
) -> Iterator[_Served | None]:
    """Yield all repositories; None for one that cannot be opened."""
    for name, path in app.repos:
        try:
            found = _examine(app, req, res, name, path)
        except (OSError, error.RepoError, error.Abort) as e:
            if path not in _reported:
                _reported.add(path)
                report(
                    b'no metrics of %s: %s'
                    % (path, stringutil.forcebytestr(e)),
                    False,
                )
            yield None
            continue
        yield found


def _examine(app: Any, req: Any, res: Any, name: bytes, path: bytes) -> _Served:
    """Open a repository as hgwebdir does, and check the permission.

    Raises what opening it raises.
    """
    found = repositories.examine(app, req, res, name, path, PATH)
    readable = found.allows(b'pull')
    shown = (
        readable
        and found.repo.ui.configbool(SECTION, b'metrics')
        and found.listed
    )
    return _Served(found.label, found.repo, readable, shown)


def _measure(
    exposition: Exposition, repo: Any, labels: dict[str, str], report: Report
) -> int:
    """Add what all extensions measure; return how many of them failed."""
    failures = 0
    for name, collector in collectors.collectors():
        with _guarded(name, report) as failed:
            # All or nothing: a metric without some of its samples misleads.
            for sample in list(collector(repo)):
                exposition.add(sample, labels)
        failures += len(failed)
    return failures


def _add(
    exposition: Exposition,
    resource: gauges.Resource,
    labels: dict[str, str],
    report: Report,
) -> int:
    """Add the state of a resource; return 1 if that failed, otherwise 0."""
    with _guarded('wireprotov2', report) as failed:
        for sample in list(resource.measure()):
            exposition.add(sample, labels)
    return len(failed)


@contextlib.contextmanager
def _guarded(name: str, report: Report) -> Iterator[list[Exception]]:
    """Report an exception, and append it to the list that this yields.

    One repository whose database is damaged must not hide all others.
    """
    failed: list[Exception] = []
    try:
        yield failed
    except Exception as e:
        failed.append(e)
        message = getattr(e, 'message', None) or stringutil.forcebytestr(e)
        told = isinstance(e, (OSError, error.Error, error.StorageError))
        report(b'no metrics of %s: %s' % (name.encode(), message), not told)


def _add_failures(exposition: Exposition, failures: int) -> None:
    exposition.add(
        Sample(
            'amalgam_scrape_failures',
            'Parts of this scrape that could not be measured; see the log.',
            GAUGE,
            failures,
        ),
        _NO_LABELS,
    )
