# SPDX-License-Identifier: GPL-2.0-or-later
"""What is to be known about the large files of a repository, for monitoring.

Every scrape asks, for each repository of a server: what takes longer than a
query is left out. Nothing here knows how samples are shown.
"""

from __future__ import annotations

from typing import Any

from ...amalgam.serving.metrics import COUNTER, GAUGE, Sample
from ..api import endpoint
from ..stores import configured
from ..stores.local import LocalStore

_TRANSFERS = (
    'amalgam_lfs_transfers_total',
    'Downloads that were begun and uploads that were stored, by this server.',
    COUNTER,
)
_BYTES = (
    'amalgam_lfs_transferred_bytes_total',
    'Bytes of the downloads that were begun, and bytes that were received.',
    COUNTER,
)
_DOWN = {'direction': 'download'}
_UP = {'direction': 'upload'}


def samples(repo: Any) -> list[Sample]:
    """Return the samples of a repository, none if it does not serve LFS.

    Raises LfsServerError.
    """
    ui = repo.ui
    if not ui.configbool(b'lfsserver', b'serve'):
        return []
    counts = configured.counters(repo, endpoint.COUNTED).read()
    found: list[Sample] = [
        Sample(*_TRANSFERS, counts[endpoint.DOWNLOADS], _DOWN),
        Sample(*_TRANSFERS, counts[endpoint.UPLOADS], _UP),
        Sample(*_BYTES, counts[endpoint.SENT], _DOWN),
        Sample(*_BYTES, counts[endpoint.RECEIVED], _UP),
    ]
    found += [
        Sample(
            'amalgam_lfs_refusals_total',
            'Requests and objects of batches that were refused.',
            COUNTER,
            counts[name],
            {'status': str(status)},
        )
        for status, name in endpoint.REFUSALS.items()
    ]
    if ui.configbool(b'lfsserver', b'locks'):
        found.append(
            Sample(
                'amalgam_lfs_locks',
                'Locks on files that users hold.',
                GAUGE,
                configured.lock_store(repo).count(),
            )
        )
    return found + _stored(repo)


def _stored(repo: Any) -> list[Sample]:
    """Return what the store holds."""
    roles = configured.blob_store(repo)
    quota = configured.quota(repo, roles)
    if quota is None and not isinstance(roles.blobs, LocalStore):
        # The store would have to be listed for nothing but this.
        return []
    usage = configured.usage(repo, roles)
    found: list[Sample] = [
        Sample(
            'amalgam_lfs_stored_bytes',
            'Bytes of blobs and of uploads in progress.',
            GAUGE,
            usage.total(()) if quota is None else quota.used(),
        ),
        Sample(
            'amalgam_lfs_blobs', 'Blobs in the store.', GAUGE, usage.count()
        ),
    ]
    if quota is not None:
        found.append(
            Sample(
                'amalgam_lfs_quota_bytes',
                'The most bytes that the blobs may take.',
                GAUGE,
                quota.limit,
            )
        )
    return found
