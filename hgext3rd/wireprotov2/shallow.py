# SPDX-License-Identifier: GPL-2.0-or-later
"""Repositories that know all changesets, and the files of recent ones only.

A file revision whose data is not here is in its file's history all the same,
with its node, parents and changeset: stored empty, with the flag that says
data is stored externally. Git LFS uses that flag too, but its data is never
empty. So every kind of storage holds what is missing as it holds the rest.
Data that arrives later is kept under its node below ``.hg/store/shallow``.

What reads, sends or builds on data that is not here ends with
``MissingFileData``. Nothing here knows the wire.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import zstandard
from mercurial import error, mdiff, scmutil
from mercurial import match as matchmod
from mercurial.i18n import _
from mercurial.node import bin, hex, nullid, nullrev, short
from mercurial.revlogutils.constants import REVIDX_EXTSTORED

from .requirements import SHALLOW

# in the store
FOLDER = b'shallow'
LIMITS = b'shallow/limits'


class MissingFileData(error.StorageError):
    """The data of a file revision was not fetched."""

    def __init__(self, repo: Any, path: bytes, linkrev: int) -> None:
        super().__init__(
            _(b'%s of changeset %s is not here')
            % (path, short(repo.unfiltered().changelog.node(linkrev))),
            hint=_(
                b'this repository has the files of recent changesets only; '
                b"'hg pull --depth N' gets those of N generations"
            ),
        )


def is_shallow(repo: Any) -> bool:
    """Return whether files may be missing."""
    return SHALLOW in repo.requirements


def begin(repo: Any) -> None:
    """Make an empty repository one in which files may be missing."""
    unfiltered = repo.unfiltered()
    with repo.lock():
        repo.requirements.add(SHALLOW)
        scmutil.writereporequirements(unfiltered)
    adopt(unfiltered)
    if repo is not unfiltered:
        view = unfiltered.filtered(repo.filtername)
        object.__setattr__(repo, '__class__', type(view))


def adopt(repo: Any) -> None:
    """Let a repository's files tell what is missing."""
    scmutil.fileprefetchhooks.add(b'wireprotov2', check_files)
    _on_top(repo)


def _on_top(repo: Any) -> None:
    """Make ``repo.file`` ours, whatever other extensions made of it."""
    inherited = type(repo)
    if getattr(inherited.file, '_shallow', False):
        return

    class shallowrepo(inherited):  # type: ignore[misc, valid-type]
        # file revisions without data that a verification met
        shallow_missing = 0

        def file(self, *args: Any, **kwargs: Any) -> Any:
            return _guarded(self, super().file(*args, **kwargs))

        file._shallow = True  # type: ignore[attr-defined]

        def filtered(self, *args: Any, **kwargs: Any) -> Any:
            # asked for when all extensions had their turn
            _on_top(self)
            return super().filtered(*args, **kwargs)

    repo.__class__ = shallowrepo


def set_depth_of_command(repo: Any, depth: bytes) -> None:
    """Note what ``hg pull --depth`` says, which Mercurial does not pass on."""
    repo.unfiltered().shallow_depth = depth


def depth_of_command(repo: Any) -> bytes:
    """Return what ``set_depth_of_command`` noted, empty if nothing."""
    depth: bytes = getattr(repo.unfiltered(), 'shallow_depth', b'')
    return depth


# -- files


def _guarded(repo: Any, filelog: Any) -> Any:
    """Put the checks below around a filelog and what stores its revisions."""
    filelog.__class__ = _class(type(filelog), _filelog_class)
    storage = filelog._revlog
    storage.__class__ = _class(type(storage), _storage_class)
    storage.shallow_repo = repo.unfiltered()
    read, write, raw = storage._flagprocessors.get(
        REVIDX_EXTSTORED, (None, None, None)
    )

    def read_or_nothing(store: Any, text: bytes) -> Any:
        return read(store, text) if text else (text, False)

    def raw_or_nothing(store: Any, text: bytes) -> Any:
        return raw(store, text) if text else False

    storage._flagprocessors[REVIDX_EXTSTORED] = (
        read_or_nothing,
        write,
        raw_or_nothing,
    )
    return filelog


def is_absent(storage: Any, rev: int) -> bool:
    """Return whether storage itself has no data of a revision."""
    return bool(
        rev != nullrev
        and storage.flags(rev) & REVIDX_EXTSTORED
        and not storage.rawsize(rev)
    )


def is_missing(repo: Any, storage: Any, node: bytes) -> bool:
    """Return whether the data of a revision is nowhere here.

    ``storage`` is what is inside a filelog; it has the revision.
    """
    return is_absent(storage, storage.rev(node)) and not has_text(repo, node)


def _fetched(storage: Any, rev: int) -> bytes:
    """Return data that came later."""
    repo = storage.shallow_repo
    node = storage.node(rev)
    text = read_text(repo, node)
    if text is None:
        raise MissingFileData(repo, storage.target[1], storage.linkrev(rev))
    storage.checkhash(text, node, rev=rev)
    return text


def _rebased(storage: Any, deltas: Iterable[Any]) -> Iterator[Any]:
    """Replace incoming deltas of what storage itself does not have."""
    get_rev = storage.index.get_rev
    for data in deltas:
        is_tuple = isinstance(data, tuple)  # hg <= 7.0
        base, delta = data[4:6] if is_tuple else (data.delta_base, data.delta)
        rev = get_rev(base)
        if delta is None or rev is None or not is_absent(storage, rev):
            yield data
            continue
        text = bytes(mdiff.patches(_fetched(storage, rev), [bytes(delta)]))
        delta = mdiff.replacediffheader(0, len(text)) + text
        if is_tuple:
            yield (*data[:4], nullid, delta, *data[6:])
        else:
            data.delta_base, data.delta = nullid, delta
            yield data


# Objects become ones of these classes when they exist already. That takes
# classes with a single base, which are made for each class met.
_classes: dict[type, type] = {}


def _class(kind: Any, make: Any) -> type:
    if hasattr(kind, 'is_shallow'):
        return kind
    found = _classes.get(kind)
    if found is None:
        found = _classes[kind] = make(kind)
        found.__name__ = kind.__name__
    return found


def _filelog_class(kind: Any) -> type:
    class shallowfilelog(kind):
        is_shallow = True

        def renamed(self, node: bytes) -> Any:
            # Files begin where they are not known to be copies: to abort at
            # each would make most commands useless.
            storage = self._revlog
            if storage.parents(node)[0] == nullid and is_missing(
                storage.shallow_repo, storage, node
            ):
                return False
            return super().renamed(node)

    return shallowfilelog


def _storage_class(kind: Any) -> type:
    class shallowstorage(kind):
        is_shallow = True

        def _revisiondata(
            self, nodeorrev: Any, *args: Any, **kwargs: Any
        ) -> Any:
            rev = nodeorrev
            if not isinstance(nodeorrev, int):
                rev = self.rev(nodeorrev)
            if is_absent(self, rev):
                return _fetched(self, rev)
            return super()._revisiondata(nodeorrev, *args, **kwargs)

        def addgroup(self, deltas: Any, *args: Any, **kwargs: Any) -> Any:
            return super().addgroup(_rebased(self, deltas), *args, **kwargs)

        def emitrevisions(self, *args: Any, **kwargs: Any) -> Any:
            for found in super().emitrevisions(*args, **kwargs):
                if found.flags & REVIDX_EXTSTORED and is_absent(
                    self, self.rev(found.node)
                ):
                    # receivers get what a node is the hash of
                    found.flags &= ~REVIDX_EXTSTORED
                yield found

        def verifyintegrity(self, state: Any) -> Any:
            for problem in super().verifyintegrity(state):
                node = problem.node
                if node is None or not is_absent(self, self.rev(node)):
                    yield problem
                    continue
                state[b'skipread'].add(node)
                repo = self.shallow_repo
                try:
                    self.revision(node)
                except MissingFileData:
                    repo.shallow_missing += 1
                except error.StorageError:
                    yield problem

    return shallowstorage


# -- data that arrived later


def _place(node: bytes) -> bytes:
    name = hex(node)
    return b'%s/%s/%s' % (FOLDER, name[:2], name[2:])


def has_text(repo: Any, node: bytes) -> bool:
    """Return whether the data of a file revision arrived later."""
    return bool(repo.svfs.exists(_place(node)))


def read_text(repo: Any, node: bytes) -> bytes | None:
    """Return data that arrived later, unchecked; None if none did."""
    data = repo.svfs.tryread(_place(node))
    if not data:
        return None
    try:
        text: bytes = zstandard.ZstdDecompressor().decompress(data)
    except zstandard.ZstdError:
        # as if cut short: fetched again when somebody asks for it
        return None
    return text


def write_text(repo: Any, storage: Any, rev: int, text: bytes) -> None:
    """Keep the data of a revision. Raises if it does not match its node."""
    node = storage.node(rev)
    storage.checkhash(text, node, rev=rev)
    place = _place(node)
    repo.svfs.makedirs(os.path.dirname(place))
    with repo.svfs(place, b'wb', atomictemp=True) as stream:
        stream.write(zstandard.ZstdCompressor(level=6).compress(text))


# -- changesets


def incomplete(repo: Any) -> set[int] | None:
    """Return the changesets of which files may be missing.

    None if that is not known, as in a copy of a repository.
    """
    data = repo.svfs.tryread(LIMITS)
    if not data:
        return None
    changelog = repo.unfiltered().changelog
    get_rev = changelog.index.get_rev
    heads: set[int] = set()
    complete: set[int] = set()
    for line in data.split():
        rev = get_rev(bin(line[1:]))
        if rev is not None:
            (heads if line.startswith(b'-') else complete).add(rev)
    found = set(changelog.ancestors(heads, inclusive=True)) if heads else set()
    return found - complete


def set_incomplete(repo: Any, revs: set[int]) -> None:
    """Note which changesets may have files that are missing.

    As heads of a range, and what is complete nevertheless within.
    """
    changelog = repo.unfiltered().changelog
    parents = {p for rev in revs for p in changelog.parentrevs(rev)}
    heads = revs - parents
    inside = set(changelog.ancestors(heads, inclusive=True)) if heads else set()
    lines = [b'-%s\n' % hex(changelog.node(rev)) for rev in sorted(heads)]
    lines += [
        b'+%s\n' % hex(changelog.node(rev)) for rev in sorted(inside - revs)
    ]
    repo.svfs.makedirs(FOLDER)
    with repo.svfs(LIMITS, b'wb', atomictemp=True) as stream:
        stream.write(b''.join(lines) or b'\n')


# -- commands


def check_files(repo: Any, revmatches: Any) -> None:
    """Refuse what needs files that are not here, before it begins.

    A hook of ``scmutil.prefetchfiles``.
    """
    if not is_shallow(repo):
        return
    suspects = incomplete(repo)
    unfiltered = repo.unfiltered()
    for rev, match in revmatches:
        ctx = unfiltered[rev]
        if ctx.rev() is None or (
            suspects is not None and ctx.rev() not in suspects
        ):
            continue
        manifest = ctx.manifest()
        matcher = matchmod.intersectmatchers(match, repo.narrowmatch())
        for path in manifest.walk(matcher):
            storage = unfiltered.file(path)._revlog
            node = manifest[path]
            if storage.hasnode(node) and is_missing(repo, storage, node):
                raise MissingFileData(
                    repo, path, storage.linkrev(storage.rev(node))
                )


def report_missing(ui: Any, repo: Any) -> None:
    """Say after a verification how much there was nothing to verify of."""
    count = repo.unfiltered().shallow_missing
    if count:
        ui.status(
            _(b'data of %d file revisions is not here, as expected\n') % count
        )
