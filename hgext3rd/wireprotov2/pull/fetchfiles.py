# SPDX-License-Identifier: GPL-2.0-or-later
"""``hg admin::fetch-files``: fetching the file data that a repository lacks.

Large parts of the history come as segments (see ``fillsegments``). Otherwise,
whole histories of files go into the storage of each file, some files in each
transaction. So an interrupted command continues with what is left. What single
changesets need is fetched as for any other command.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mercurial.i18n import _
from mercurial.node import nullrev

from ..shallow import absence, completion, demand, prefetch, texts
from . import fillsegments

#: Revisions that are fetched and stored together, and the most files.
BATCH_REVISIONS = 2000
BATCH_FILES = 200

#: The nodes of each path.
Files = dict[bytes, list[bytes]]


def fetch(repo: Any, revs: Sequence[int], match: Any) -> None:
    """Fetch the data of files that ``match``.

    That of the changesets ``revs``, or all of it if there are none. Raises
    ``MissingFileData`` if some of it cannot be had.
    """
    repo = repo.unfiltered()
    ui = repo.ui
    if not absence.is_shallow(repo):
        ui.status(_(b'this repository has the content of all its files\n'))
        return
    # Whoever runs the command wants it.
    with ui.configoverride({(b'wireprotov2', b'on-demand'): True}):
        if revs:
            for start in range(0, len(revs), prefetch.BATCH):
                batch = revs[start : start + prefetch.BATCH]
                prefetch.files(repo, [(rev, match) for rev in batch])
        else:
            _fetch_histories(repo, match)
    with repo.wlock(), repo.lock():
        complete = completion.complete(repo)
    # Texts that came by themselves take more space than those of segments.
    consider = getattr(repo, 'consider_repack', None)
    if consider is not None:
        consider()
    if complete:
        ui.status(_(b'this repository has the content of all its files now\n'))


def _fetch_histories(repo: Any, match: Any) -> None:
    """Fetch the data of all revisions of files, and store it."""
    absent = _absent(repo, match)
    count, files = sum(map(len, absent.values())), len(absent)
    if match.always() and fillsegments.fill(repo, absent):
        absent = _absent(repo, match)
    total = sum(map(len, absent.values()))
    with repo.ui.makeprogress(
        _(b'completing'), unit=_(b'revisions'), total=total
    ) as bar:
        for batch in _batches(absent):
            with texts.kept_apart(repo):
                demand.provide(repo, {nullrev: batch})
                with repo.lock():
                    completion.store(repo, _still_absent(repo, batch))
            bar.increment(sum(map(len, batch.values())))
    repo.ui.status(
        _(b'fetched the content of %d revisions of %d files\n') % (count, files)
    )


def _absent(repo: Any, match: Any) -> Files:
    """Return the revisions of files without data that ``match``."""
    return {
        path: nodes
        for path, nodes in completion.absent(repo).items()
        if match(path)
    }


def _still_absent(repo: Any, batch: Files) -> Files:
    """Return the part of ``batch`` that no other process has stored."""
    found: Files = {}
    for path, nodes in batch.items():
        inner = absence.of_file(repo, path)
        left = [
            node for node in nodes if absence.is_absent(inner, inner.rev(node))
        ]
        if left:
            found[path] = left
    return found


def _batches(absent: Files) -> Iterator[Files]:
    """Yield the files of ``absent`` in batches."""
    batch: Files = {}
    count = 0
    for path, nodes in sorted(absent.items()):
        if batch and (
            count + len(nodes) > BATCH_REVISIONS or len(batch) == BATCH_FILES
        ):
            yield batch
            batch, count = {}, 0
        batch[path] = nodes
        count += len(nodes)
    if batch:
        yield batch
