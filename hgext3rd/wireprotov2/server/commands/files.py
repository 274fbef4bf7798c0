# SPDX-License-Identifier: GPL-2.0-or-later
"""filedata and filesdata: revisions of one file, or of all files that changed.

``introduced`` finds the revisions that the changesets of a request bring;
``stores`` and ``records`` know the form of a record.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

from mercurial import error, scmutil
from mercurial import match as matchmod
from mercurial.node import hex

from ... import requirements
from ...access import visibility
from ...proto import cbor
from ...proto.errors import CommandError
from . import introduced, records
from .registry import Request
from .revisions import node_list, resolve
from .stores import FileStores, revision_records, stored_rev

# How many changesets clients should ask about at once. That many take some
# seconds, and the table of what is sent stays small.
RECOMMENDED_BATCH = 50000

# The kinds of patterns in path filters. Others could be made to cost much.
PATTERN_KINDS = (b'path:', b'rootfilesin:')

# Most patterns in a path filter. Each becomes part of a regular expression.
MAX_PATTERNS = 10000


def capabilities(repo: Any) -> dict[bytes, Any]:
    """Return what capabilities say about filesdata."""
    return {b'recommendedbatchsize': RECOMMENDED_BATCH}


def path_matcher(request: Request, pathfilter: dict | None) -> Any:
    """Return a matcher for a path filter and what the requester may have.

    Raises ``CommandError`` for an invalid filter.
    """
    repo = request.repo
    filters = pathfilter or {}
    patterns = {}
    for key in (b'include', b'exclude'):
        patterns[key] = node_list(filters.get(key, []), key)
        if len(patterns[key]) > MAX_PATTERNS:
            raise CommandError(b'too many %s patterns', (key,))
        for pattern in patterns[key]:
            if not pattern.startswith(PATTERN_KINDS):
                raise CommandError(
                    b'%s pattern must begin with `path:` or `rootfilesin:`; '
                    b'got %s',
                    (key, pattern),
                )
    try:
        matcher = matchmod.match(
            repo.root,
            b'',
            include=patterns[b'include'],
            exclude=patterns[b'exclude'],
        )
    except error.Abort as e:
        raise CommandError(b'invalid path filter: %s', (e.message,)) from None
    return request.requester.file_matcher(matcher)


def filedata(
    request: Request,
    haveparents: bool,
    nodes: list,
    fields: Collection[bytes],
    path: bytes,
) -> Iterator[bytes]:
    """Send the revisions ``nodes`` of one file.

    With ``haveparents`` the client has their parents, and deltas may be against
    these.
    """
    repo = request.repo
    wanted = node_list(nodes, b'nodes')
    if not request.requester.file_matcher()(path):
        raise CommandError(b'unknown file: %s', (path,))
    store = FileStores(repo).take(path)
    linkrevs = {}
    for node in wanted:
        rev = stored_rev(store, node)
        if rev is None:
            raise CommandError(b'unknown file node: %s', (hex(node),))
        linkrevs[node] = store.linkrev(rev)
    seen = visibility.file_changesets(repo, path, linkrevs)
    for node in wanted:
        if node not in seen:
            raise CommandError(b'unknown file node: %s', (hex(node),))
    linknodes = None
    if b'linknode' in fields:
        clnode = repo.changelog.node
        linknodes = {node: clnode(rev) for node, rev in seen.items()}

    def all_records() -> Iterator[bytes]:
        yield records.total(len(wanted))
        yield from revision_records(
            store,
            wanted,
            fields,
            haveparents,
            linknodes,
            _plain_text(repo, store),
        )

    return records.batched(all_records())


def filesdata(
    request: Request,
    haveparents: bool,
    fields: Collection[bytes],
    pathfilter: dict | None,
    revisions: list,
) -> Iterator[bytes]:
    """Send the file revisions that the named changesets bring.

    With ``haveparents`` the client has the files of all their ancestors.
    """
    repo = request.repo
    matcher = path_matcher(request, pathfilter)
    revs = resolve(repo, revisions)
    if b'revision' in fields and requirements.SHALLOW in repo.requirements:
        # Fetch at once what this repository does not have itself.
        scmutil.prefetchfiles(repo, [(rev, matcher) for rev in revs])
    stores = FileStores(repo)
    paths = introduced.file_nodes(repo, stores, revs, matcher, haveparents)
    return records.batched(_files(repo, stores, paths, fields, haveparents))


def _files(
    repo: Any,
    stores: FileStores,
    paths: dict[bytes, introduced.FileNodes],
    fields: Collection[bytes],
    haveparents: bool,
) -> Iterator[bytes]:
    """Yield the response of filesdata; takes the entries out of ``paths``."""
    total = sum(len(nodes) for nodes in paths.values())
    yield cbor.encode({b'totalpaths': len(paths), b'totalitems': total})
    clnode = repo.changelog.node
    want_linknode = b'linknode' in fields
    for path in sorted(paths):
        nodes = paths.pop(path)
        store = stores.take(path)
        yield cbor.encode({b'path': path, b'totalitems': len(nodes)})
        linknodes = None
        if want_linknode:
            linknodes = {node: clnode(rev) for node, rev in nodes.items()}
        yield from revision_records(
            store,
            list(nodes),
            fields,
            haveparents,
            linknodes,
            _plain_text(repo, store),
        )


def _plain_text(repo: Any, store: Any) -> Callable[[Any], bytes | None] | None:
    """Return a function that replaces data whose meaning depends on flags.

    It takes a revision as ``emitrevisions`` yields it, and returns the text to
    send instead, or None. A file of the lfs extension is a pointer in the
    storage, marked by a flag. Old clients of this protocol do not know the
    flag, so they get the content of the file, which is what the node is a hash
    of.
    """
    if b'lfs' not in repo.requirements:
        return None
    flags = getattr(getattr(store, '_revlog', store), 'flags', None)
    if flags is None:
        return None
    rev = store.rev

    def plain_text(found: Any) -> bytes | None:
        base = found.basenode
        if found.flags or (
            found.revision is None and base is not None and flags(rev(base))
        ):
            return store.revision(found.node)
        return None

    return plain_text
