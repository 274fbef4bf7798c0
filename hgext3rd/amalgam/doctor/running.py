# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs all checks on one repository or on all of a server, and shows the results.

Knows no check by name. A check that fails is a finding and stops no other.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mercurial import encoding, error, pycompat, util
from mercurial.i18n import _
from mercurial.utils import stringutil, urlutil

from .. import compat
from . import permissions, secrets
from .asking import Site
from .findings import OK, PROBLEM, WARNING, Check, Examined, Finding, problem

#: The checks that every deployment needs, whatever is enabled.
COMMON = (f'{__package__}.machine', f'{__package__}.web')


class Target(NamedTuple):
    """A repository to look at, and its name and address on the server.

    ``repo`` is None if it cannot be opened, for the reason ``refused``.
    """

    name: bytes
    root: bytes
    repo: Any
    refused: bytes = b''


def run(
    ui: Any,
    repo: Any,
    url: bytes,
    opts: Mapping[str, Any],
    modules: Mapping[str, Sequence[str]],
) -> int:
    """Look, and show what was found. Return 1 if there is a problem, else 0.

    ``modules`` has the modules with checks, and for each those that requests
    import. Reading the configuration of the server may add to it.
    """
    targets = _targets(ui, repo, opts['web_conf'])
    checks = _checks(modules)
    needed = sorted({name for names in modules.values() for name in names})
    counts = {OK: 0, WARNING: 0, PROBLEM: 0}
    asked = True
    with ui.formatter(b'admin::doctor', pycompat.byteskwargs(dict(opts))) as fm:
        for target in targets:
            title = len(targets) > 1 and target.name
            known: list[bytes] = []
            if target.repo is None:
                found: Iterable[tuple[Check, Finding]] = [_closed(target)]
            else:
                known = secrets.of_ui(target.repo.ui, encoding.environ)
                examined = _examined(target, url, opts)
                asked = asked and examined.site is not None
                found = _look(examined._replace(needed=needed), checks)
                checks = [check for check in checks if not check.once]
            for check, finding in found:
                counts[finding.level] += 1
                if ui.quiet and finding.level == OK:
                    continue
                _show(fm, target, title, check, finding, known)
                title = False
    if opts['template']:
        return int(bool(counts[PROBLEM]))
    if not asked:
        ui.status(
            _(
                b'(the server was not asked over HTTP: name its address, or set '
                b'web.baseurl)\n'
            )
        )
    ui.status(
        _(b'problems: %d, warnings: %d, fine: %d\n')
        % (counts[PROBLEM], counts[WARNING], counts[OK])
    )
    return int(bool(counts[PROBLEM]))


def _checks(modules: Iterable[str]) -> list[Check]:
    return [
        check
        for name in (*COMMON, *modules)
        for check in importlib.import_module(name).CHECKS
    ]


def _targets(ui: Any, repo: Any, conf: bytes) -> list[Target]:
    """Return the repositories to look at. Raises Abort if there is none."""
    if not conf:
        if repo is None:
            raise error.InputError(
                _(b'no repository to look at'),
                hint=_(b'use -R, or --web-conf for all that a server has'),
            )
        if not repo.local():
            raise error.InputError(_(b'the repository must be on this machine'))
        return [Target(b'', repo.root, repo)]
    served, ui = _read_web_conf(ui, conf)
    if repo is not None:
        root = os.path.realpath(repo.root)
        served = [(n, p) for n, p in served if os.path.realpath(p) == root] or [
            (b'', repo.root)
        ]
    if not served:
        raise error.InputError(_(b'%s has no repositories') % conf)
    return [_open(ui, name, path) for name, path in sorted(served)]


def _open(ui: Any, name: bytes, path: bytes) -> Target:
    """Return the repository at ``path``, which may be one of another version."""
    try:
        return Target(name, path, compat.open_repository(ui.copy(), path))
    except (error.RepoError, OSError) as exc:
        return Target(name, path, None, stringutil.forcebytestr(exc))


def _read_web_conf(
    ui: Any, conf: bytes
) -> tuple[list[tuple[bytes, bytes]], Any]:
    """Return the repositories of a server (name, path) and its configuration."""
    from mercurial import extensions

    base = ui.copy()
    application = compat.hgwebdir_module().hgwebdir(
        util.expandpath(conf), baseui=base
    )
    # Extensions that only this file enables have checks as well.
    extensions.loadall(application.ui)
    extensions.populateui(application.ui)
    return list(application.repos), application.ui


def _closed(target: Target) -> tuple[Check, Finding]:
    """Return the finding for a repository that cannot be opened."""
    check = Check(b'repository', _(b'whether it can be opened'), lambda _: ())
    return check, problem(
        _(b'%s cannot be opened: %s') % (target.root, target.refused),
        _(
            b'check its permissions and its requirements: another version, or '
            b'an extension that is not enabled, may have made it'
        ),
    )


def _examined(target: Target, url: bytes, opts: Mapping[str, Any]) -> Examined:
    """Return what the checks of one repository get. Raises Abort."""
    repo = target.repo
    ui = repo.ui
    if opts['user']:
        try:
            user = permissions.user_named(opts['user'])
        except KeyError as exc:
            raise error.InputError(
                _(b"there is no user '%s'") % opts['user']
            ) from exc
    else:
        uid = os.geteuid()
        user = permissions.user_of(uid or os.stat(repo.spath).st_uid)
    base = url or ui.config(b'web', b'baseurl') or b''
    site = None
    if base:
        parsed = urlutil.url(base)
        if target.name:
            path = b'/'.join(
                part for part in (parsed.path, target.name) if part
            )
            parsed.path = path.strip(b'/')
        try:
            site = Site(ui, bytes(parsed), float(opts['timeout']))
        except ValueError as exc:
            raise error.InputError(
                _(b'not an address of a server: %s')
                % urlutil.hidepassword(base)
            ) from exc
    return Examined(ui, repo, user, user.uid == os.geteuid(), site)


def _look(
    examined: Examined, checks: list[Check]
) -> Iterator[tuple[Check, Finding]]:
    """Yield the findings of each check."""
    with examined.ui.makeprogress(
        _(b'looking'), unit=_(b'checks'), total=len(checks)
    ) as progress:
        for check in checks:
            progress.increment(item=check.name)
            found: list[Finding] = []
            try:
                found.extend(check.look(examined))
            # Whatever a check stumbles over, the others are of use.
            except Exception as exc:
                examined.ui.traceback()
                reason = stringutil.forcebytestr(exc) or repr(exc).encode()
                found.append(
                    Finding(
                        WARNING,
                        _(b'could not look: %s') % reason.splitlines()[0],
                        _(b'run it again with --traceback, and report it'),
                    )
                )
            for finding in found:
                yield check, finding


def _show(
    fm: Any,
    target: Target,
    title: bytes | bool,
    check: Check,
    finding: Finding,
    known: list[bytes],
) -> None:
    """Show one finding, below a title of the repository if there is one."""
    fm.startitem()
    fm.data(repository=target.name or target.root, about=check.about)
    if title:
        fm.plain(b'%s:\n' % target.name)
    level = finding.level
    fm.condwrite(
        True,
        b'level check text',
        b'%-8s%s: %s\n',
        level,
        check.name,
        secrets.hide(finding.text, known),
        label=b'doctor.' + level,
    )
    fm.condwrite(
        bool(finding.advice),
        b'advice',
        _(b'        change: %s\n'),
        secrets.hide(finding.advice, known),
    )
