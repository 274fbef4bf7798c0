# SPDX-License-Identifier: GPL-2.0-or-later
"""The generations of the protocol as data: their commands and arguments.

API 0002 with framing 0005 was in Mercurial's development tree in 2018. API 0003
with framing 0006 is what Mercurial 4.8 to 6.0 speak. Arguments and their
defaults are as these versions advertised them. Additions of this extension are
the commands for segments, the argument ``revisions`` of ``manifestdata``, and
the field ``flags``.
"""

from __future__ import annotations

from ...proto.frames import FRAMING_0005, FRAMING_0006
from . import (
    capabilities,
    changesets,
    discovery,
    files,
    manifests,
    pushkeys,
    rawstore,
    segments,
)
from .registry import API, Argument, Command

_BYTES = Argument(b'bytes')
_LIST = Argument(b'list')
_FALSE = Argument(b'bool', False)
_OPTIONAL_LIST = Argument(b'list', None)


def _fields(*values: bytes) -> Argument:
    return Argument(b'set', frozenset(), frozenset(values))


_COMMON = (
    Command(b'branchmap', discovery.branchmap),
    Command(b'capabilities', capabilities.capabilities),
    Command(b'heads', discovery.heads, {b'publiconly': _FALSE}),
    Command(b'known', discovery.known, {b'nodes': Argument(b'list', [])}),
    Command(b'listkeys', pushkeys.listkeys, {b'namespace': _BYTES}),
    Command(b'lookup', discovery.lookup, {b'key': _BYTES}),
    Command(
        b'pushkey',
        pushkeys.pushkey,
        {b'namespace': _BYTES, b'key': _BYTES, b'old': _BYTES, b'new': _BYTES},
        permission=b'push',
    ),
)

_COMMANDS_0002 = (
    *_COMMON,
    Command(
        b'changesetdata',
        changesets.changesetdata_0002,
        {
            b'noderange': _OPTIONAL_LIST,
            b'nodes': _OPTIONAL_LIST,
            b'nodesdepth': Argument(b'int', None),
            b'fields': _fields(b'bookmarks', b'parents', b'phase', b'revision'),
        },
        outgoing=True,
    ),
    Command(
        b'filedata',
        files.filedata,
        {
            b'haveparents': _FALSE,
            b'nodes': _LIST,
            b'fields': _fields(b'parents', b'revision'),
            b'path': _BYTES,
        },
        outgoing=True,
    ),
    Command(
        b'manifestdata',
        manifests.manifestdata_0002,
        {
            b'nodes': _LIST,
            b'haveparents': _FALSE,
            b'fields': _fields(b'parents', b'revision'),
            b'tree': _BYTES,
        },
        outgoing=True,
    ),
    Command(
        b'rawstorefile',
        rawstore.rawstorefile,
        {b'what': _BYTES},
        outgoing=True,
        compressed=True,
        available=rawstore.available,
        # This is the one command whose wire frames with data do not say that
        # more follow.
        data_flags=0,
    ),
)

_COMMANDS_0003 = (
    *_COMMON,
    Command(
        b'changesetdata',
        changesets.changesetdata,
        {
            b'revisions': _LIST,
            b'fields': _fields(b'bookmarks', b'parents', b'phase', b'revision'),
        },
        outgoing=True,
    ),
    Command(
        b'filedata',
        files.filedata,
        {
            b'haveparents': _FALSE,
            b'nodes': _LIST,
            b'fields': _fields(b'flags', b'linknode', b'parents', b'revision'),
            b'path': _BYTES,
        },
        outgoing=True,
    ),
    Command(
        b'filesdata',
        files.filesdata,
        {
            b'haveparents': _FALSE,
            b'fields': _fields(
                b'firstchangeset',
                b'flags',
                b'linknode',
                b'parents',
                b'revision',
            ),
            b'pathfilter': Argument(b'dict', None),
            b'revisions': _LIST,
        },
        outgoing=True,
        capabilities=files.capabilities,
    ),
    Command(
        b'manifestdata',
        manifests.manifestdata,
        {
            b'nodes': _LIST,
            b'haveparents': _FALSE,
            b'fields': _fields(b'flags', b'linknode', b'parents', b'revision'),
            b'tree': _BYTES,
            b'revisions': Argument(b'list', []),
        },
        outgoing=True,
        capabilities=manifests.capabilities,
    ),
    Command(
        b'rawstorefiledata',
        rawstore.rawstorefiledata,
        {b'files': _LIST, b'pathfilter': Argument(b'dict', None)},
        outgoing=True,
        compressed=True,
        available=rawstore.available,
    ),
    *segments.COMMANDS.values(),
)


def _by_name(commands: tuple[Command, ...]) -> dict[bytes, Command]:
    return {command.name: command for command in commands}


API_0002 = API(
    b'exp-http-v2-0002',
    FRAMING_0005,
    _by_name(_COMMANDS_0002),
    lists_compression=True,
    redirects=False,
)

API_0003 = API(
    b'exp-http-v2-0003',
    FRAMING_0006,
    _by_name(_COMMANDS_0003),
    lists_compression=False,
    redirects=True,
)

APIS = {api.name: api for api in (API_0002, API_0003)}
