# SPDX-License-Identifier: GPL-2.0-or-later
"""Every change to Mercurial that several extensions need, and need only once.

An extension that offers something for pages of hgweb calls ``add_pages`` when a
server starts. Keep it light: every command imports this module.
"""

from __future__ import annotations

from typing import Any

from mercurial import extensions

from . import compat, loading, wrapping

#: Modules that only requests for pages use.
REQUEST_MODULES = (
    f'{__package__}.pages.directory',
    f'{__package__}.pages.answers',
    f'{__package__}.pages.surveys',
)


@loading.once
def add_pages() -> None:
    """Let hgweb serve the pages of ``serving.offers``."""
    from mercurial import templater
    from mercurial.hgweb import webcommands

    from .pages import answers
    from .serving import offers

    loading.stop_lazy_loading(REQUEST_MODULES)
    # hgweb takes the function of this name for the page.
    for page in offers.PAGES:
        setattr(webcommands, page, answers.command(page))
        webcommands.__all__.append(page)
    # The navigation of Mercurial's pages has no place for links of extensions.
    extensions.wrapfunction(templater.loader, '_parse', answers.parse_template)
    extensions.wrapfunction(
        compat.hgweb_module().requestcontext,
        'sendtemplate',
        answers.send_template,
    )
    # The summary of all repositories of a server is outside of them.
    extensions.wrapfunction(
        compat.hgwebdir_module().hgwebdir, '_runwsgi', _run_directory
    )


@wrapping.own_addresses_only
def _run_directory(orig: Any, app: Any, req: Any, res: Any) -> Any:
    from .pages import directory

    answer = directory.answer(app, req, res)
    return orig(app, req, res) if answer is None else answer
