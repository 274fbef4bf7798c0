# SPDX-License-Identifier: GPL-2.0-or-later
"""rawstorefile and rawstorefiledata: files of the store as they are on disk.

Names and sizes are read under the lock of the store. The files are then opened,
or kept readable, in the same way as for Mercurial's stream clones. So the state
of one moment is sent, however long sending takes. All entries that the store
lists are sent; it knows which files belong to it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from mercurial import error, streamclone

from ... import compat
from ...proto import cbor
from ...proto.errors import CommandError
from .files import path_matcher
from .registry import Request

# The values of the argument ``what`` of rawstorefile, and the logs they mean.
_WHAT = {
    b'changelog': frozenset((b'changelog',)),
    b'changelog+rootmanifestlog': frozenset((b'changelog', b'manifestlog')),
}

_KINDS = frozenset((b'changelog', b'manifestlog', b'files'))


@dataclass
class _Snapshot:
    """The entries of a store at one moment.

    ``count`` and ``size`` are those of their files. ``volatiles`` and
    ``resources`` keep the files readable; the latter must be closed.
    """

    entries: list[Any]
    count: int
    size: int
    changesets: int
    volatiles: Any
    resources: ExitStack


def available(repo: Any) -> bool:
    """Return whether raw files are sent (option ``server.uncompressed``)."""
    return streamclone.allowservergeneration(repo)


def rawstorefile(request: Request, what: bytes) -> Iterator[bytes]:
    """Send the files of the changelog, or those of root manifests as well."""
    if what not in _WHAT:
        raise CommandError(
            b'illegal value for "what" argument (%s): must be "changelog" '
            b'or "changelog+rootmanifestlog"',
            (what,),
        )
    repo = _checked(request)
    snapshot = _snapshot(repo, _WHAT[what], None)
    return _send(
        repo, snapshot, lambda name, size: {b'name': name, b'size': size}
    )


def rawstorefiledata(
    request: Request, files: list, pathfilter: dict | None
) -> Iterator[bytes]:
    """Send the files of the kinds of logs that ``files`` names."""
    repo = _checked(request)
    if not all(isinstance(f, bytes) for f in files):
        raise CommandError(b'files must be a list of bytestrings')
    kinds = frozenset(files)
    unknown = kinds - _KINDS
    if unknown:
        raise CommandError(
            b'unknown file type: %s', (b', '.join(sorted(unknown)),)
        )
    if b'files' in kinds and request.requester.narrow_matcher() is not None:
        raise CommandError(b'files are not available as a whole')
    matcher = path_matcher(request, pathfilter) if pathfilter else None
    snapshot = _snapshot(repo, kinds, matcher)
    return _send(
        repo,
        snapshot,
        lambda name, size: {
            b'location': b'store',
            b'path': name,
            b'size': size,
        },
    )


def _checked(request: Request) -> Any:
    """Return the unfiltered repository, since raw files have no views.

    Raises ``CommandError`` if raw files are not sent.
    """
    if not available(request.repo):
        raise CommandError(b'stream clone is disabled')
    return request.repo.unfiltered()


def _kind(entry: Any) -> bytes:
    """Return the kind of log that an entry of a store belongs to."""
    if not entry.is_revlog:
        # Up to Mercurial 7.0 such entries have no other properties.
        return b'files'
    if entry.is_changelog:
        return b'changelog'
    return b'manifestlog' if entry.is_manifestlog else b'files'


def _entries(repo: Any, kinds: Collection[bytes], matcher: Any) -> list[Any]:
    """Return entries of the store, each after those it refers to."""
    store = repo.store
    trees = b'manifestlog' in kinds and repo.manifestlog._treemanifests
    if b'files' in kinds or trees:
        listed = store.walk(matcher)
    else:
        listed = store.top_entries()
    return [entry for entry in listed if _kind(entry) in kinds]


def _snapshot(repo: Any, kinds: Collection[bytes], matcher: Any) -> _Snapshot:
    """Return the entries of the store as they are now.

    Raises ``CommandError`` if the repository cannot be locked.
    """
    resources = ExitStack()
    try:
        lock = repo.lock()
    except error.LockError as e:
        raise CommandError(
            b'cannot lock the repository: %s', (e.strerror,)
        ) from None
    with lock, resources:
        volatiles = resources.enter_context(streamclone.VolatileManager())
        entries = _entries(repo, kinds, matcher)
        count = size = 0
        for entry in entries:
            compat.preserve_volatiles(entry, repo.svfs, volatiles)
            for f in compat.entry_files(entry, repo.svfs):
                count += 1
                size += f.file_size(repo.svfs)
        return _Snapshot(
            entries, count, size, len(repo), volatiles, resources.pop_all()
        )


def _send(repo: Any, snapshot: _Snapshot, describe: Any) -> Iterator[bytes]:
    """Yield the response; ``describe`` makes the map before each file."""
    with snapshot.resources:
        yield cbor.encode(
            {b'filecount': snapshot.count, b'totalsize': snapshot.size}
        )
        for entry in snapshot.entries:
            streams = entry.get_streams(
                repo=repo,
                vfs=repo.svfs,
                volatiles=snapshot.volatiles,
                max_changeset=snapshot.changesets,
                preserve_file_count=True,
            )
            for name, stream, size in streams:
                yield cbor.encode(describe(name, size))
                whole = _whole(stream, name, size)
                yield from cbor.encode_indefinite_bytes(whole)


def _whole(stream: Iterable[bytes], name: bytes, size: int) -> Iterator[bytes]:
    """Yield the chunks of ``stream``.

    Raises ``CommandError`` unless they have ``size`` bytes in all.
    """
    sent = 0
    for chunk in stream:
        sent += len(chunk)
        yield chunk
    if sent != size:
        # History was rewritten meanwhile.
        raise CommandError(b'file changed while it was sent: %s', (name,))
