# SPDX-License-Identifier: GPL-2.0-or-later
"""The page ``lfs`` of hgweb: usage, quota, locks, and a button that unlocks.

Whoever may push can unlock what others locked, as with the API. What takes long
to measure is in a survey (see ``amalgam.pages.surveys``).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from mercurial.hgweb import common as hgwebcommon
from mercurial.node import hex
from mercurial.thirdparty import attr

from ...amalgam.pages import charts, surveys, texts
from ...amalgam.pages.blocks import (
    Bar,
    Block,
    Button,
    Cell,
    Chart,
    Column,
    Fact,
    Facts,
    Note,
    Section,
    Table,
)
from ...amalgam.pages.charts import Part
from ...amalgam.pages.summaries import Value
from ...amalgam.pages.units import count_text, share_text, size_text
from .. import errors
from ..stores import configured, groups, locks
from ..stores.local import LocalStore
from . import forms
from .endpoints import log_of

SURVEY = 'lfs'

# Bytes of the changelog, which names all touched files, and blobs, from which on
# a thread measures. Reading so many files takes about half a second.
_MANY_BYTES = 1 << 20
_MANY_BLOBS = 20_000
_MANY_CHANGESETS = 20_000

# Seconds for which the usage of an object store counts as current: nothing tells
# when it changes, and it has to be listed.
_LISTING_LIFETIME = 600

# The most folders that are shown, and the most locks.
_MOST_FOLDERS = 30
_MOST_LOCKS = 500

_UNLOCK = 'unlock'


def section(rctx: Any) -> Section:
    """Return the section of a repository; raise hgweb's ErrorResponse."""
    try:
        return _section(rctx)
    except errors.LfsServerError as error:
        raise _response(rctx, error) from error


def values(repo: Any) -> Iterator[Value]:
    """Yield the figures for the summary of a server; raise LfsServerError."""
    roles = configured.blob_store(repo)
    blobs = size = None
    if isinstance(roles.blobs, LocalStore):
        usage = configured.usage(repo, roles)
        size = usage.total(())
        blobs = usage.count()
    else:
        known = surveys.peek(repo, SURVEY)
        if known is not None:
            total = known.data['usage'][0]
            blobs, size = total['blobs'], total['bytes']
    yield Value('blobs', 'large files', blobs, count_text)
    yield Value('bytes', 'their size', size, size_text)
    if repo.ui.configbool(b'lfsserver', b'locks'):
        count = configured.lock_store(repo).count()
        yield Value('locks', 'locks', count, count_text)


def unlock(rctx: Any) -> bytes:
    """Delete the lock that a form names; return where to go then.

    Raises hgweb's ErrorResponse.
    """
    try:
        return _unlock(rctx)
    except errors.LfsServerError as error:
        raise _response(rctx, error) from error


def _response(rctx: Any, error: errors.LfsServerError) -> Exception:
    """Return an error as hgweb shows it; the log gets what is not shown."""
    log_of(rctx.repo)(f'page: {error.status} {error.full_text}')
    failure: Exception = hgwebcommon.ErrorResponse(
        error.status, error.message.encode('utf-8', 'replace')
    )
    return failure


def _permitted(rctx: Any, operation: bytes) -> bool:
    try:
        _check(rctx, operation)
    except hgwebcommon.ErrorResponse:
        return False
    return True


def _check(rctx: Any, operation: bytes) -> None:
    """Raise hgweb's ErrorResponse unless the user may do this."""
    # The check demands that pushes have this method.
    req = attr.evolve(rctx.req, method=b'POST')
    for hook in hgwebcommon.permhooks:
        hook(rctx, req, operation)


def _unlock(rctx: Any) -> bytes:
    repo, req = rctx.repo, rctx.req
    ui = repo.ui
    if not ui.configbool(b'lfsserver', b'locks'):
        raise errors.NotFound('file locks are disabled on this server')
    try:
        _check(rctx, b'push')
    except hgwebcommon.ErrorResponse as error:
        if error.code == hgwebcommon.HTTP_UNAUTHORIZED and req.remoteuser:
            # The browser would ask for another password, which does not help.
            raise errors.Forbidden(
                error.message.decode('utf-8', 'replace')
            ) from error
        raise
    fields = forms.receive(req, ui)
    lock_id = fields.get(_UNLOCK, '')
    forms.check_token(repo, req.remoteuser, _action(lock_id), fields)
    user = (req.remoteuser or b'').decode('utf-8', 'replace')
    try:
        lock = configured.lock_store(repo).delete(lock_id, user, force=True)
    except errors.NotFound:
        # Somebody was faster.
        pass
    else:
        log_of(repo)(f'unlocked {lock.path} of {lock.owner}')
    style = req.qsparams.get(b'style')
    address = quote(req.apppath + b'/lfs')
    return (address + (f'?style={quote(style)}' if style else '')).encode()


def _action(lock_id: str) -> str:
    return f'{_UNLOCK} {lock_id}'


def _section(rctx: Any) -> Section:
    repo = rctx.repo
    survey, current = _survey(repo)
    rows = list(survey.data['usage']) if survey else []
    data: dict[str, Any] = {
        'usage': rows,
        'measured': int(survey.measured) if survey else None,
        'current': current,
    }
    blocks = [*_usage(rows, survey, current)]
    shows_locks = repo.ui.configbool(b'lfsserver', b'locks')
    if shows_locks and _permitted(rctx, b'pull'):
        page = configured.lock_store(repo).page(limit=_MOST_LOCKS)
        data['locks'] = [
            {
                'path': lock.path,
                'owner': lock.owner,
                'ref': lock.ref or '',
                'id': lock.id,
                'date': [int(lock.locked_at), 0],
            }
            for lock in page.locks
        ]
        blocks.extend(_locks(rctx, page))
    return Section('Usage and locks', tuple(blocks), data)


def _survey(repo: Any) -> tuple[surveys.Survey | None, bool]:
    """Return the newest survey, or None, and whether it is current."""
    roles = configured.blob_store(repo)
    changelog = repo.changelog
    filtername = repo.filtername
    view = surveys.view_of(repo)
    key: list[Any] = [
        len(changelog),
        hex(repo.unfiltered().changelog.tip()),
        view,
        repo.ui.config(b'lfsserver', b'store'),
        repo.ui.configbytes(b'lfsserver', b'quota'),
        # The ages of blobs.
        int(time.time()) // groups.DAY,
    ]
    if isinstance(roles.blobs, LocalStore):
        usage = configured.usage(repo, roles)
        key += [usage.total(()), usage.count()]
        long = usage.count() > _MANY_BLOBS or _is_long(repo)
    else:
        key.append(int(time.time()) // _LISTING_LIFETIME)
        long = True
    digest = hashlib.sha256(repr(key).encode()).hexdigest()

    def measure(own: Any) -> Mapping[str, Any]:
        seen = own if filtername is None else own.filtered(filtername)
        rows = list(groups.rows(seen, 1, as_seen=True))
        return {'usage': list(map(_as_text, rows))}

    task = surveys.Task(SURVEY, digest, view, long, measure)
    found = surveys.find(repo, task)
    return found, found is not None and found.key == digest


def _is_long(repo: Any) -> bool:
    """Return whether reading the files of all changesets takes long."""
    changelog = repo.unfiltered().changelog
    if len(changelog) > _MANY_CHANGESETS:
        return True
    return sum(map(changelog.rawsize, changelog)) > _MANY_BYTES


def _as_text(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: surveys.text_of(value) if isinstance(value, bytes) else value
        for key, value in row.items()
    }


def _usage(
    rows: list[Mapping[str, Any]], survey: surveys.Survey | None, current: bool
) -> Iterator[Block]:
    if survey is None:
        yield Note(
            'The usage is being measured. Reload this page in a moment.',
            important=True,
        )
        return
    if not current:
        yield Note(
            f'The usage was measured at {_time(survey.measured)}. Something '
            'has changed since then, and newer figures are prepared.',
            important=True,
        )
    total = rows[0]
    facts = [
        Fact('large files', count_text(total['blobs'])),
        Fact('their size', size_text(total['bytes'])),
        Fact('uploads in progress', size_text(total['uploads'])),
    ]
    limit = total['quota']
    used = total['bytes'] + total['uploads']
    if limit > 0:
        share = f'{share_text(used, limit)} used'
        facts.append(Fact('quota', size_text(limit), share))
    yield Facts(tuple(facts))
    if limit > 0:
        shown = f'{size_text(used)} of {size_text(limit)}'
        bar = charts.whole([Part('used', used, shown)], 'Quota', limit)
        yield Chart('Quota', bar)
    if not total['blobs']:
        yield Note('There are no large files in the store.')
        return
    yield _folders([row for row in rows if row['group'] == 'folder'])
    parts = [
        Part(row['name'], row['bytes'], size_text(row['bytes']))
        for row in rows
        if row['group'] == 'age'
    ]
    yield Chart('By time since the upload', charts.whole(parts, 'Usage by age'))


def _folders(rows: list[Mapping[str, Any]]) -> Table:
    rows = sorted(rows, key=lambda row: (-row['bytes'], row['name']))
    most = max((row['bytes'] for row in rows), default=0) or 1
    left_out = len(rows) - _MOST_FOLDERS
    note = (
        'A blob counts in each folder that refers to it. Unreferenced ones are '
        'of no changeset that is shown here.'
    )
    if left_out > 0:
        note += f' {left_out} smaller folders are left out.'
    return Table(
        'By folder',
        (Column('folder'), Column('blobs', True), Column('size', True)),
        tuple(
            (
                Bar(texts.shown(row['name']), row['bytes'] / most),
                count_text(row['blobs']),
                size_text(row['bytes']),
            )
            for row in rows[:_MOST_FOLDERS]
        ),
        note=note,
    )


def _locks(rctx: Any, page: locks.LockPage) -> Iterator[Block]:
    if not page.locks:
        yield Note('No file is locked.')
        return
    user = rctx.req.remoteuser
    may_unlock = _permitted(rctx, b'push') and forms.possible(rctx.repo)

    def cells(lock: locks.Lock) -> tuple[Cell, ...]:
        found: tuple[Cell, ...] = (
            lock.path,
            lock.owner,
            lock.ref or 'all branches',
            _time(lock.locked_at),
        )
        if not may_unlock:
            return found
        token = forms.token(rctx.repo, user, _action(lock.id))
        button = Button('unlock', ((_UNLOCK, lock.id), (forms.TOKEN, token)))
        return (*found, button)

    more = page.next_cursor is not None
    yield Table(
        'Locks',
        (
            Column('file'),
            Column('owner'),
            Column('branch', minor=True),
            Column('since', minor=True),
            *([Column('')] if may_unlock else []),
        ),
        tuple(map(cells, page.locks)),
        note=f'Only the first {_MOST_LOCKS} locks are shown.' if more else '',
    )


def _time(seconds: float) -> str:
    return time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime(seconds))
