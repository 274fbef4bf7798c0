# SPDX-License-Identifier: GPL-2.0-or-later
"""The summary of the repositories of a server, at the address ``storage``.

It has the repositories that the index lists, too, and that the requester may
read. The others are not counted, and nothing depends on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from mercurial import error
from mercurial.hgweb import common as hgwebcommon
from mercurial.utils import stringutil

from .. import compat
from ..serving import offers, repositories
from . import answers, rendering, texts
from .blocks import (
    Bar,
    Block,
    Cell,
    Column,
    Fact,
    Facts,
    Link,
    Note,
    Section,
    Table,
)
from .summaries import Value

#: The name of the summary, below the address of a server or of a folder in it.
PAGE = b'storage'

# A repository: its name, and the figures by name.
_Row = tuple[bytes, Mapping[str, Value]]


def answer(app: Any, req: Any, res: Any) -> Iterator[bytes] | None:
    """Answer a request for the summary; return None for any other.

    ``app`` is an hgwebdir. Permissions are checked for each repository.
    """
    folder, _slash, page = (
        (req.dispatchpath or b'').strip(b'/').rpartition(b'/')
    )
    if page != PAGE:
        return None
    app.refresh()
    prefix = folder + b'/' if folder else b''
    parts = prefix.split(b'/')
    addresses = {b'/'.join(parts[:n]) for n in range(1, len(parts))}
    names = {name for name, _path in app.repos}
    if names & {*addresses, prefix + PAGE, b''}:
        # The address belongs to a repository.
        return None
    if not any(name.startswith(prefix) for name in names):
        return None
    return _answer(app, req, res, prefix)


def _answer(app: Any, req: Any, res: Any, prefix: bytes) -> Iterator[bytes]:
    policy, nonce = hgwebcommon.cspvalues(app.ui)
    if policy:
        res.headers[b'Content-Security-Policy'] = policy
    answers.forbid_storing(res)
    res.status = b'200 Script output follows'
    tmpl = app.templater(req, nonce)
    try:
        style = rendering.style_of(tmpl)
    except hgwebcommon.ErrorResponse as e:
        res.status = hgwebcommon.statusmessage(
            e.code, stringutil.forcebytestr(e)
        )
        return answers.send(res, b'text/plain', e.message)
    rows, failed = _rows(app, req, res, prefix)
    sections = [_section(req, rows, failed)]
    document = sections[0].data
    bare = rendering.without_frame(style, document, sections)
    if bare is not None:
        return answers.send(res, *bare)
    rendering.add_frame(tmpl, style)
    breadcrumb = compat.hgweb_module().makebreadcrumb
    values: dict[bytes, Any] = {
        key.encode(): value
        for key, value in rendering.values('storage', sections).items()
    }
    values[b'pathdef'] = breadcrumb(b'/' + prefix, app.prefix)
    res.headers[b'Content-Type'] = tmpl.render(
        b'mimetype', {b'encoding': texts.page_encoding()}
    )
    if req.method != b'HEAD':
        res.setbodygen(tmpl.generate(rendering.TEMPLATE, values))
    return res.sendresponse()


def _rows(
    app: Any, req: Any, res: Any, prefix: bytes
) -> tuple[list[_Row], int]:
    """Return the repositories, and how many could not be read."""
    rows: list[_Row] = []
    failed = 0
    for name, path in sorted(app.repos):
        if not name.startswith(prefix):
            continue
        try:
            found = repositories.examine(app, req, res, name, path, (PAGE,))
            if not found.allows(None) or not found.listed:
                continue
        except (OSError, error.RepoError, error.Abort):
            # Whether it may be read is not known. Nothing tells that it is here.
            continue
        try:
            values = {
                value.name: value
                for offer in offers.offers(found.repo)
                if offer.values is not None
                for value in offer.values(found.repo)
            }
        except Exception as e:
            # One damaged repository must not hide all others.
            app.ui.log(
                b'amalgam',
                b'no summary of %s: %s\n',
                path,
                stringutil.forcebytestr(e),
            )
            failed += 1
            continue
        rows.append((name, values))
    return rows, failed


def _section(req: Any, rows: list[_Row], failed: int) -> Section:
    kinds: dict[str, Value] = {}
    for _name, values in rows:
        for value in values.values():
            kinds.setdefault(value.name, value)
    sums = {
        kind.name: sum(
            values[kind.name].number or 0
            for _name, values in rows
            if kind.name in values
        )
        for kind in kinds.values()
        if kind.additive
    }
    first = next(iter(kinds.values()), None)
    blocks: list[Block] = [
        Facts(
            (
                Fact('repositories', str(len(rows))),
                *(
                    Fact(kind.title, kind.show(sums[kind.name]))
                    for kind in kinds.values()
                    if kind.additive
                ),
            )
        ),
        Table(
            'Repositories',
            (
                Column('repository'),
                *(Column(kind.title, number=True) for kind in kinds.values()),
            ),
            tuple(
                (
                    _link(req, name, values),
                    *(
                        _cell(values.get(kind.name), kind is first, sums)
                        for kind in kinds.values()
                    ),
                )
                for name, values in rows
            ),
            note='A dash means that nothing has measured the figure yet, or '
            'that the repository has none.',
        ),
    ]
    if failed:
        blocks.append(
            Note(f'{failed} repositories could not be measured.', True)
        )
    return Section(
        'All repositories',
        tuple(blocks),
        {
            'repositories': [
                {
                    'name': name,
                    **{key: value.number for key, value in values.items()},
                }
                for name, values in rows
            ],
            'failed': failed,
        },
    )


def _link(req: Any, name: bytes, values: Mapping[str, Value]) -> Cell:
    text = texts.shown(name)
    if not values:
        return text
    address = quote(b'/'.join((req.apppath, name, PAGE)))
    style = req.qsparams.get(b'style')
    return Link(text, address + (f'?style={quote(style)}' if style else ''))


def _cell(value: Value | None, bar: bool, sums: Mapping[str, int]) -> Cell:
    if value is None or value.number is None:
        return '\u2013'
    text = value.show(value.number)
    if not bar:
        return text
    return Bar(text, value.number / max(1, sums[value.name]))
