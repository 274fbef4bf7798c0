# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``getbundle`` would return, fetched with version 2 commands.

Decides whether a bundle can be had that way at all, and composes its parts.
Which commands are sent is decided in ``pull_source``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mercurial import bundle2, encoding, util
from mercurial.node import bin as fromhex
from mercurial.node import nullid

from ..client import failures
from ..client.http import HTTPClient
from ..client.offer import API
from ..proto.errors import CBORError, ProtocolError
from . import bundle
from .records import Record
from .source import OneRequest, Stepwise, Wanted

Source = OneRequest | Stepwise
Complete = Callable[[bytes, Record], Record]

# arguments of getbundle that can be honoured here; with any other, version 1
# is asked
KNOWN_ARGUMENTS = frozenset(
    (
        b'bundlecaps',
        b'common',
        b'heads',
        b'cg',
        b'listkeys',
        b'bookmarks',
        b'cbattempted',
        b'obsmarkers',
        b'depth',
    )
)

# further arguments in a narrow repository; what is outside stays out
NARROW_ARGUMENTS = frozenset(
    (
        b'narrow',
        b'includepats',
        b'excludepats',
        b'oldincludepats',
        b'oldexcludepats',
    )
)

# what separates keys and values in the part that holds them
_BREAKS = re.compile(b'[\r\n\t]')

REQUIRED_COMMANDS = (
    b'changesetdata',
    b'manifestdata',
    b'filesdata',
    b'listkeys',
)

# formats whose revisions hold more than these commands transfer
FOREIGN_FORMATS = frozenset(
    (
        b'treemanifest',
        b'exp-copies-sidedata-changeset',
        b'exp-revlogv2.2',
        b'exp-changelog-v2',
    )
)


def changegroup_version(bundlecaps: Any) -> bytes | None:
    """Return the changegroup version to make for a caller of getbundle."""
    caps = set(bundlecaps or ())
    if b'HG20' not in caps:
        return None
    versions: Any = ()
    for cap in caps:
        if cap.startswith(b'bundle2='):
            blob = util.urlreq.unquote(cap[len(b'bundle2=') :])
            versions = bundle2.decodecaps(blob).get(b'changegroup', ())
    for version in (b'03', b'02'):
        if version in versions:
            return version
    return None


def can_pull(
    api: API, kwargs: Mapping[bytes, Any], lfs: bool, narrow: bool
) -> bool:
    """Return whether a getbundle call can be answered from ``api``.

    ``lfs`` says that the server's file revisions may have flags, ``narrow``
    that paths may be filtered.
    """
    present = {key for key, value in kwargs.items() if value is not None}
    known = KNOWN_ARGUMENTS | NARROW_ARGUMENTS if narrow else KNOWN_ARGUMENTS
    if not present <= known or not _asks_for_something(kwargs):
        return False
    if not has_commands(api):
        return False
    version = changegroup_version(kwargs.get(b'bundlecaps'))
    if kwargs.get(b'depth'):
        # what is not here has a flag
        return version == b'03'
    if lfs:
        return version == b'03' and has_flags(api)
    return version is not None


def _heads(kwargs: Mapping[bytes, Any]) -> list[bytes]:
    # an empty repository has none, or the null revision
    return [node for node in kwargs.get(b'heads') or () if node != nullid]


def _asks_for_something(kwargs: Mapping[bytes, Any]) -> bool:
    if kwargs.get(b'listkeys') or kwargs.get(b'bookmarks'):
        return True
    return bool(_heads(kwargs) and kwargs.get(b'cg', True))


def has_commands(api: API) -> bool:
    """Return whether ``api`` has what pulls need."""
    return not api.formats & FOREIGN_FORMATS and all(
        name in api.commands for name in REQUIRED_COMMANDS
    )


def can_filter_paths(api: API) -> bool:
    """Return whether narrow repositories can be pulled to from ``api``."""
    return api.has_argument(b'filesdata', b'pathfilter')


def _pathfilter(kwargs: Mapping[bytes, Any]) -> dict[bytes, list[bytes]] | None:
    if not kwargs.get(b'narrow'):
        return None
    found = {
        b'include': sorted(kwargs.get(b'includepats') or ()),
        b'exclude': sorted(kwargs.get(b'excludepats') or ()),
    }
    if not found[b'include']:
        # a narrow repository without patterns has no files at all, a filter
        # without them lets all pass
        found[b'exclude'] = [b'path:.']
    return found


def has_flags(api: API) -> bool:
    return b'flags' in api.valid_values(b'filesdata', b'fields')


def is_ours(api: API) -> bool:
    """Return whether ``api`` selects manifests by changeset, as ours does."""
    return api.has_argument(b'manifestdata', b'revisions')


def open_source(client: HTTPClient, api: API, wanted: Wanted) -> Source:
    """Send the first request; return once its answer has begun."""
    try:
        if is_ours(api):
            return OneRequest(client, wanted, has_flags(api))
        return Stepwise(
            client,
            wanted,
            api.batch_size(b'manifestdata'),
            api.batch_size(b'filesdata'),
        )
    except ProtocolError as exc:
        raise failures.ServerFailure(client.url, exc.message) from exc


def getbundle(
    ui: Any,
    client: HTTPClient,
    api: API,
    kwargs: Mapping[bytes, Any],
    obsmarkers: Callable[[], Any],
    complete: Complete | None = None,
) -> Any:
    """Return an unbundler. ``kwargs`` are such that ``can_pull``.

    ``obsmarkers`` returns an unbundler with obsolescence markers, for which
    there is no command. ``complete`` takes a path and a record, and returns
    one whose delta applies to what the repository has.
    """
    namespaces = list(kwargs.get(b'listkeys') or ())
    asked = namespaces + [b'bookmarks'] * bool(kwargs.get(b'bookmarks'))
    heads = _heads(kwargs)
    wanted = Wanted(
        common=kwargs.get(b'common') or [nullid],
        heads=heads,
        changesets=bool(heads and kwargs.get(b'cg', True)),
        namespaces=list(dict.fromkeys(asked)),
        pathfilter=_pathfilter(kwargs),
        depth=int(kwargs.get(b'depth') or 0) or None,
    )
    source = open_source(client, api, wanted)
    version = changegroup_version(kwargs.get(b'bundlecaps'))
    assert version is not None
    stream = _Bundle(ui, client.url, source, wanted, version)
    if not kwargs.get(b'bookmarks'):
        stream.bookmarks = False
    stream.namespaces = namespaces
    stream.complete = complete
    if kwargs.get(b'obsmarkers'):
        stream.obsmarkers = obsmarkers
    return bundle2.getunbundler(ui, util.chunkbuffer(stream.chunks()))


class _Bundle:
    """The parts of one bundle."""

    def __init__(
        self,
        ui: Any,
        url: bytes,
        source: Source,
        wanted: Wanted,
        version: bytes,
    ) -> None:
        self._ui = ui
        self._url = url
        self._source = source
        self._wanted = wanted
        self._version = version
        self.bookmarks = True
        self.namespaces: list[bytes] = []
        self.obsmarkers: Callable[[], Any] | None = None
        self.complete: Complete | None = None

    def chunks(self) -> Iterator[bytes]:
        try:
            yield from self._chunks()
        except ProtocolError as exc:
            raise failures.ServerFailure(self._url, exc.message) from exc
        finally:
            self._source.close()

    def _chunks(self) -> Iterator[bytes]:
        source = self._source
        yield bundle.start()
        if self._wanted.changesets:
            yield from bundle.part(
                0,
                b'CHANGEGROUP',
                self._changegroup(),
                {b'version': self._version},
                {b'nbchanges': b'%d' % source.total},
            )
        for number, namespace in enumerate(self.namespaces, 1):
            keys = source.listkeys(namespace)
            _check_keys(namespace, keys)
            yield from bundle.part(
                number,
                b'LISTKEYS',
                [bundle.listkeys(keys)],
                {b'namespace': namespace},
            )
        if self.bookmarks:
            marks = {
                encoding.tolocal(name): _node(value)
                for name, value in source.listkeys(b'bookmarks').items()
            }
            yield from bundle.part(100, b'BOOKMARKS', [bundle.bookmarks(marks)])
        # before the last byte: nobody asks for more after that
        source.finish()
        if self.obsmarkers is not None:
            for number, part in enumerate(self.obsmarkers().iterparts(), 101):
                params = dict(part.params)
                mandatory = {
                    key: params.pop(key) for key in sorted(part.mandatorykeys)
                }
                yield from bundle.part(
                    number,
                    part.type.upper() if part.mandatory else part.type,
                    util.filechunkiter(part),
                    mandatory,
                    params,
                )
        yield bundle.end()

    def _changegroup(self) -> Iterator[bytes]:
        source = self._source
        seen = source.seen
        for record in source.changesets():
            yield self._revision(record, record.node)
        yield bundle.close_group()
        manifests = seen.manifests
        for record in source.manifests():
            link = manifests.pop(record.node, None)
            if link is None:
                raise CBORError(b'sent a manifest that was not asked for')
            yield self._revision(record, link)
        yield bundle.after_manifests(self._version)
        for path, records in source.files():
            if path not in seen.paths and source.exact:
                # no hash covers the path
                raise CBORError(b'sent a file that no changeset touches')
            yield bundle.file_header(path)
            # one of each changeset at most, or they might never end
            links = set()
            for record in records:
                link = record.linknode
                if link not in seen.nodes:
                    raise CBORError(
                        b'sent a file of a changeset that was not asked for'
                    )
                assert link is not None
                if link in links:
                    raise CBORError(b'sent a file of a changeset twice')
                links.add(link)
                if self.complete is not None:
                    record = self.complete(path, record)
                yield self._revision(record, link)
            yield bundle.close_group()
        yield bundle.close_group()

    def _revision(self, record: Record, link: bytes) -> bytes:
        try:
            return bundle.revision(record, link, self._version)
        except ValueError:
            raise CBORError(
                b'sent a revision with flags this repository cannot hold'
            ) from None


def _check_keys(namespace: bytes, keys: Mapping[bytes, bytes]) -> None:
    """Refuse what the format of the part, or who reads it, cannot take."""
    for key, value in keys.items():
        if _BREAKS.search(key) or _BREAKS.search(value):
            raise CBORError(b'sent a key or value with control characters')
        if namespace == b'phases' and key != b'publishing':
            if not value.isdigit() or len(value) > 9:
                raise CBORError(b'sent a phase without a number')
            _node(key, b'phase')


def _node(value: bytes, what: bytes = b'bookmark') -> bytes:
    try:
        node = fromhex(value)
    except ValueError:
        node = b''
    if len(node) != 20:
        raise CBORError(b'sent a %s without a node' % what)
    return node
