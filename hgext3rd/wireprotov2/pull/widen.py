# SPDX-License-Identifier: GPL-2.0-or-later
"""The files that ``hg tracked --addinclude`` adds to a narrow clone.

What Mercurial's narrow extension asks a server for that has it, fetched with
``filesdata``: a bundle with files of changesets that are here already.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from mercurial import bundle2, util
from mercurial import match as matchmod

from ..client import failures
from ..client.http import Command, Exchange, HTTPClient
from ..client.offer import API
from ..proto.errors import CBORError, ProtocolError
from . import bundle, getbundle
from . import records as pull_records
from .source import FILE_FIELDS

# of the changegroup; flags of file revisions are sent
VERSION = b'03'


def widen(
    ui: Any, client: HTTPClient, api: API, kwargs: Mapping[str, Any]
) -> Any:
    """Return an unbundler. ``kwargs`` are those of ``narrow_widen``."""
    flags = {b'flags'} if getbundle.has_flags(api) else set()
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
    if getbundle.is_ours(api):
        # others fail to answer where changesets removed files
        args[b'haveparents'] = True
    exchange = client.start(Command(b'filesdata', args))
    here = matchmod.match(
        b'/',
        b'',
        include=sorted(kwargs['oldincludes']),
        exclude=sorted(kwargs['oldexcludes']),
    )
    # a narrow clone without patterns has no files
    known = here if kwargs['oldincludes'] else matchmod.never()
    chunks = _chunks(client.url, exchange, known)
    return bundle2.getunbundler(ui, util.chunkbuffer(chunks))


def _added(kwargs: Mapping[str, Any]) -> Collection[bytes]:
    """Return patterns that cover what is new."""
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
        raise failures.ServerFailure(url, exc.message) from exc
    finally:
        exchange.close()


def _changegroup(exchange: Exchange, known: Any) -> Iterator[bytes]:
    # neither changesets nor manifests
    yield bundle.close_group()
    yield bundle.after_manifests(VERSION)
    values = exchange.values(0)
    paths = pull_records.header(values, b'totalpaths')
    for path, records in pull_records.files(values, paths):
        if known(path):
            for _record in records:
                pass
            continue
        yield bundle.file_header(path)
        for record in records:
            if record.linknode is None:
                raise CBORError(b'malformed response: a file has no changeset')
            yield bundle.revision(record, record.linknode, VERSION)
        yield bundle.close_group()
    pull_records.end(values)
    yield bundle.close_group()
