# SPDX-License-Identifier: GPL-2.0-or-later
"""Stream clones: sending a snapshot of the database, and receiving one.

Later versions of the stream format read the store through its entries (see
``storeentries``) and need nothing more to send a database. The first version
does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mercurial import store as storemod
from mercurial import streamclone

from ...amalgam import sidefiles
from .. import requirements
from ..formats import schema
from . import repository, storeentries


def generate_v1(orig: Any, repo: Any) -> Any:
    """Return the stream of a repository in the first version of the format.

    Like Mercurial's function, it returns the number of files, the number of
    bytes and an iterator of chunks. Mercurial's function reads files by name
    after it released the lock, when the database may be changing.
    """
    if not requirements.uses_sqlite(repo):
        return orig(repo)
    # Extensions wrap Mercurial's function that lists the entries.
    emitted = _emit_v1(
        repo, streamclone._walkstreamfiles, streamclone.VolatileManager()
    )
    count, size = next(emitted)
    return count, size, emitted


def _emit_v1(
    repo: Any, walk: Callable[[Any], Iterable[Any]], volatiles: Any
) -> Iterator[Any]:
    """Yield (number of files, number of bytes), then the chunks.

    ``volatiles`` is a VolatileManager, which stays open until the last chunk.
    """
    streams: list[tuple[bytes, Iterator[bytes], int]] = []
    with volatiles:
        with repo.lock():
            for entry in _with_database(repo, walk(repo)):
                entry.preserve_volatiles(repo.svfs, volatiles)
                for name, chunks, size in entry.get_streams(
                    repo=repo,
                    vfs=repo.svfs,
                    volatiles=volatiles,
                    max_changeset=len(repo),
                ):
                    if size:
                        streams.append((name, chunks, size))
        yield len(streams), sum(stream[2] for stream in streams)
        for name, chunks, size in streams:
            yield b'%s\0%d\n' % (storemod.encodedir(name), size)
            yield from chunks


def _with_database(repo: Any, entries: Iterable[Any]) -> list[Any]:
    """Return the entries, and the database if it holds the history of any.

    The remotefilelog extension chooses files one by one, often none. The
    database then has manifests only.
    """
    found = list(entries)
    histories = [e for e in found if isinstance(e, storeentries.FileEntry)]
    if histories and not any(
        isinstance(entry, storeentries.DatabaseEntry) for entry in found
    ):
        store = repo.unfiltered().sqlitestore
        files = any(entry.is_filelog for entry in histories)
        # Before the changelog, so that it never names a file that is missing.
        found.insert(0, storeentries.DatabaseEntry(store, files))
    return found


def apply_stream(orig: Any, repo: Any, *args: Any, **kwargs: Any) -> Any:
    """Apply a stream, then make the repository object fit its requirements."""
    result = orig(repo, *args, **kwargs)
    _follow(repo)
    return result


def apply_legacy_stream(orig: Any, pullop: Any) -> None:
    """Apply a stream of the first version, if there is one, and do the same.

    Mercurial calls its function in every pull.
    """
    repo = pullop.repo
    before = repo.requirements
    orig(pullop)
    if repo.requirements == before:
        return
    _follow(repo)
    if requirements.uses_sqlite(repo):
        from . import creation

        # A stream of an empty repository has no database.
        creation.create_database(repo.ui, repo.root)


def _follow(repo: Any) -> None:
    """Make the repository object fit the requirements that a stream set."""
    repository.forget_manifests(repo)
    if requirements.uses_sqlite(repo):
        repository.adopt(repo)
    else:
        _remove_database(repo)


def _remove_database(repo: Any) -> None:
    """Remove the unused database of a repository that received revlogs."""
    store = vars(repo.unfiltered()).pop('sqlitestore', None)
    if store is not None:
        store.db.close()
    sidefiles.remove(repo.svfs.join(schema.FILENAME))
