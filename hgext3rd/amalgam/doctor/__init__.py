# SPDX-License-Identifier: GPL-2.0-or-later
"""``hg admin::doctor``: looks at a deployment and says what to change.

This file declares the command and the list of modules with checks; it is imported
whenever an extension is loaded, so keep it light. Each extension names a module
that has a tuple ``CHECKS``. The first of them that is loaded adds the command.
``findings`` has the types, ``running`` runs the checks. The other modules hold
checks that do not depend on an extension, and what checks share.
"""

from __future__ import annotations

from typing import Any

from mercurial import cmdutil, registrar
from mercurial.i18n import _

cmdtable: dict = {}
command = registrar.command(cmdtable)

#: The modules with the checks of the extensions that are loaded, and for each of
#: them the modules that requests import.
_modules: dict[str, tuple[str, ...]] = {}


def register(table: dict, module: str, needed: tuple[str, ...]) -> None:
    """Add the checks in ``module``, and to ``table`` the command.

    ``needed`` are the modules that requests import.
    """
    table.update(cmdtable)
    _modules[module] = needed


@command(
    b'admin::doctor',
    [
        (
            b'',
            b'web-conf',
            b'',
            _(b'configuration of the server, as for hg serve'),
            _(b'FILE'),
        ),
        (
            b'',
            b'user',
            b'',
            _(b'user that serves (default: you, or the owner of the store)'),
            _(b'NAME'),
        ),
        (
            b'',
            b'timeout',
            10,
            _(b'how long to wait for an answer over HTTP'),
            _(b'SECONDS'),
        ),
        *cmdutil.formatteropts,
    ],
    _(b'[--web-conf FILE] [--user NAME] [-T TEMPLATE] [URL]'),
    helpcategory=command.CATEGORY_MAINTENANCE,
    helpbasic=False,
    optionalrepo=True,
)
def doctor(ui: Any, repo: Any, url: bytes = b'', **opts: Any) -> int:
    """look at a deployment and say what to change

    Looks at permissions, file systems, write-ahead logs, versions, packages and
    clocks, writes to the cache and to the object stores and reads that again,
    and asks the server over HTTP whether the proxies in front of it let
    everything pass. For each finding that is not fine, one line says what to
    change.

    URL is the address of the repository, or with --web-conf and without a
    repository that of the whole server; the default is ``web.baseurl``. Without
    either, nothing is asked over HTTP. The login is taken from URL or from the
    section ``[auth]``, and is not shown.

    With --web-conf, the configuration of the server is read as well, and without
    a repository, all repositories in it are looked at. Name the file that the
    server uses: otherwise the command sees other caches and limits than the
    server has.

    Run the command as the user that serves (``sudo -u hg hg admin::doctor``). As
    root, permissions are judged for the owner of the store, or for --user, and
    nothing is written into folders of that user.

    The command only reads, except for one entry in the cache and one object in
    each object store, which it removes at once.

    With --quiet, only warnings and problems are shown. Template keywords:

    :repository: address of the repository on the server, or its path
    :check: name of the check
    :about: what the check looks at
    :level: ``ok``, ``warning`` or ``problem``
    :text: what was found
    :advice: what to change; empty if nothing

    Returns 0 if there is no problem, 1 otherwise. Warnings are no problems.
    """
    from . import running

    return running.run(ui, repo, url, opts, _modules)
