# SPDX-License-Identifier: GPL-2.0-or-later
"""The answer to ``getbundle``, composed from responses of version 2.

Turns the records of a source into a bundle2 stream while they arrive.
``onerequest`` and ``stepwise`` decide which commands are sent. ``abilities``
decides whether ``getbundle`` can be answered at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mercurial import bundle2, encoding, util
from mercurial.node import bin as fromhex
from mercurial.node import nullid

from ..client import failures
from ..client.offer import OfferedAPI
from ..client.transport import Transport
from ..proto.errors import CBORError, ProtocolError
from . import abilities, bundle
from .onerequest import OneRequest
from .records import RevisionRecord
from .stepwise import Stepwise
from .wanted import Wanted

PullSource = OneRequest | Stepwise

# The characters that separate keys and values in the part that holds them.
_SEPARATORS = re.compile(b'[\r\n\t]')


def _pathfilter(kwargs: Mapping[bytes, Any]) -> dict[bytes, list[bytes]] | None:
    """Return the path filter of a ``getbundle`` call, None for all files."""
    if not kwargs.get(b'narrow'):
        return None
    found = {
        b'include': sorted(kwargs.get(b'includepats') or ()),
        b'exclude': sorted(kwargs.get(b'excludepats') or ()),
    }
    if not found[b'include']:
        # A narrow repository without patterns has no files at all, but a
        # filter without patterns lets all files pass.
        found[b'exclude'] = [b'path:.']
    return found


def open_source(
    client: Transport, api: OfferedAPI, wanted: Wanted
) -> PullSource:
    """Send the first request; return once its response has begun.

    Raises ``failures.RemoteFailure``.
    """
    try:
        if abilities.selects_by_changeset(api):
            return OneRequest(client, wanted, abilities.has_flags(api))
        return Stepwise(
            client,
            wanted,
            api.batch_size(b'manifestdata'),
            api.batch_size(b'filesdata'),
        )
    except ProtocolError as exc:
        raise failures.RemoteFailure(client.url, exc.message) from exc


def getbundle(
    ui: Any,
    client: Transport,
    api: OfferedAPI,
    kwargs: Mapping[bytes, Any],
    obsmarkers: Callable[[], Any],
) -> Any:
    """Return an unbundler, as ``getbundle`` of a peer does.

    ``kwargs`` are the arguments of ``getbundle``, accepted by
    ``abilities.can_pull``. ``obsmarkers`` returns an unbundler with
    obsolescence markers, for which version 2 has no command. Raises
    ``failures.RemoteFailure``, as reading the bundle does.
    """
    namespaces = list(kwargs.get(b'listkeys') or ())
    listed = namespaces + [b'bookmarks'] * bool(kwargs.get(b'bookmarks'))
    heads = abilities.wanted_heads(kwargs)
    wanted = Wanted(
        common=kwargs.get(b'common') or [nullid],
        heads=heads,
        changesets=bool(heads and kwargs.get(b'cg', True)),
        namespaces=list(dict.fromkeys(listed)),
        pathfilter=_pathfilter(kwargs),
        depth=kwargs.get(b'depth'),
    )
    source = open_source(client, api, wanted)
    version = abilities.changegroup_version(kwargs.get(b'bundlecaps'))
    assert version is not None
    stream = _Bundle(
        client.url,
        source,
        wanted,
        version,
        namespaces=namespaces,
        bookmarks=bool(kwargs.get(b'bookmarks')),
        obsmarkers=obsmarkers if kwargs.get(b'obsmarkers') else None,
    )
    return bundle2.getunbundler(ui, util.chunkbuffer(stream.chunks()))


@dataclass(frozen=True)
class _Bundle:
    """A bundle2 stream made from ``source``.

    ``url`` is that of the server, ``version`` that of the changegroup. The
    other fields say which parts follow the changegroup; see ``getbundle``.
    """

    url: bytes
    source: PullSource
    wanted: Wanted
    version: bytes
    namespaces: list[bytes]
    bookmarks: bool
    obsmarkers: Callable[[], Any] | None

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes of the bundle. Raises ``failures.RemoteFailure``."""
        try:
            yield from self._chunks()
        except ProtocolError as exc:
            raise failures.RemoteFailure(self.url, exc.message) from exc
        finally:
            self.source.close()

    def _chunks(self) -> Iterator[bytes]:
        source = self.source
        yield bundle.start()
        if self.wanted.changesets:
            yield from bundle.part(
                0,
                b'CHANGEGROUP',
                self._changegroup(),
                {b'version': self.version},
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
        # The reader does not ask for more after the last byte, so finish first.
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
        """Yield the changegroup; check that only what was requested came."""
        source = self.source
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
        yield bundle.after_manifests(self.version)
        for path, revisions in source.files():
            if path not in seen.paths and source.exact:
                # The path is covered by no hash, so compare it.
                raise CBORError(b'sent a file that no changeset touches')
            yield bundle.file_header(path)
            # A file has one revision of a changeset at most. Without this
            # check, a server could send revisions without end.
            links = set()
            for record in revisions:
                link = record.linknode
                if link not in seen.nodes:
                    raise CBORError(
                        b'sent a file of a changeset that was not asked for'
                    )
                assert link is not None
                if link in links:
                    raise CBORError(b'sent a file of a changeset twice')
                links.add(link)
                yield self._revision(record, link)
            yield bundle.close_group()
        yield bundle.close_group()

    def _revision(self, record: RevisionRecord, link: bytes) -> bytes:
        try:
            return bundle.revision(record, link, self.version)
        except ValueError:
            raise CBORError(
                b'sent a revision with flags this repository cannot hold'
            ) from None


def _check_keys(namespace: bytes, keys: Mapping[bytes, bytes]) -> None:
    """Raise ``CBORError`` for keys that the part or its reader cannot take."""
    for key, value in keys.items():
        if _SEPARATORS.search(key) or _SEPARATORS.search(value):
            raise CBORError(b'sent a key or value with control characters')
        if namespace == b'phases' and key != b'publishing':
            if not value.isdigit() or len(value) > 9:
                raise CBORError(b'sent a phase without a number')
            _node(key, b'phase')


def _node(value: bytes, what: bytes = b'bookmark') -> bytes:
    """Return the node with the hexadecimal digits ``value``.

    Raises ``CBORError``, which names ``what`` the node belongs to.
    """
    try:
        node = fromhex(value)
    except ValueError:
        node = b''
    if len(node) != 20:
        raise CBORError(b'sent a %s without a node' % what)
    return node
