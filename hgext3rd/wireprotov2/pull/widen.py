# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetching the files that ``hg tracked --addinclude`` adds to a narrow clone.

Mercurial's narrow extension requests them from servers that have the extension
as well. Here they are fetched with ``filesdata`` and given to Mercurial as a
bundle that has only files: the repository has their changesets already.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from mercurial import bundle2, util
from mercurial import match as matchmod

from ..client import failures
from ..client.exchange import CommandCall, Exchange
from ..client.offer import OfferedAPI
from ..client.transport import Transport
from ..proto.errors import CBORError, ProtocolError
from . import abilities, bundle, records
from .wanted import FILE_FIELDS

# The version of the changegroup; 03 can hold the flags of file revisions.
VERSION = b'03'


def widen(
    ui: Any, client: Transport, api: OfferedAPI, kwargs: Mapping[str, Any]
) -> Any:
    """Return an unbundler, as ``narrow_widen`` of a peer does.

    ``kwargs`` are the arguments of ``narrow_widen``. Raises
    ``failures.RemoteFailure``, as reading the bundle does.
    """
    flags = {b'flags'} if abilities.has_flags(api) else set()
    args: dict[bytes, Any] = {
        b'revisions': [
            {
                b'type': b'changesetdagrange',
                b'roots': [],
                b'heads': list(kwargs['commonheads']),
            }
        ],
        b'fields': FILE_FIELDS | flags,
        b'pathfilter': {
            b'include': sorted(_added(kwargs)),
            b'exclude': sorted(kwargs['newexcludes']),
        },
    }
    if abilities.selects_by_changeset(api):
        # Other servers fail to answer where changesets removed files.
        args[b'haveparents'] = True
    exchange = Exchange(client, CommandCall(b'filesdata', args))
    here = matchmod.match(
        b'/',
        b'',
        include=sorted(kwargs['oldincludes']),
        exclude=sorted(kwargs['oldexcludes']),
    )
    # A narrow clone without patterns has no files.
    known = here if kwargs['oldincludes'] else matchmod.never()
    chunks = _chunks(client.url, exchange, known)
    return bundle2.getunbundler(ui, util.chunkbuffer(chunks))


def _added(kwargs: Mapping[str, Any]) -> Collection[bytes]:
    """Return patterns that include all files that were outside so far."""
    new = set(kwargs['newincludes'])
    if set(kwargs['oldexcludes']) - set(kwargs['newexcludes']):
        return new
    return new - set(kwargs['oldincludes']) or new


def _chunks(url: bytes, exchange: Exchange, known: Any) -> Iterator[bytes]:
    try:
        yield bundle.start()
        yield from bundle.part(
            0,
            b'CHANGEGROUP',
            _changegroup(exchange, known),
            {b'version': VERSION},
        )
        exchange.finish()
        yield bundle.end()
    except ProtocolError as exc:
        raise failures.RemoteFailure(url, exc.message) from exc
    finally:
        exchange.close()


def _changegroup(exchange: Exchange, known: Any) -> Iterator[bytes]:
    """Yield a changegroup with files only; skip those that match ``known``."""
    # There are no changesets and no manifests.
    yield bundle.close_group()
    yield bundle.after_manifests(VERSION)
    values = exchange.values(0)
    paths = records.header(values, b'totalpaths')
    for path, revisions in records.files(values, paths):
        if known(path):
            for _record in revisions:
                pass
            continue
        yield bundle.file_header(path)
        for record in revisions:
            if record.linknode is None:
                raise CBORError(b'malformed response: a file has no changeset')
            yield bundle.revision(record, record.linknode, VERSION)
        yield bundle.close_group()
    records.end(values)
    yield bundle.close_group()
