# SPDX-License-Identifier: GPL-2.0-or-later
"""The repositories of a server of several, each seen as a request to it would.

Knows hgweb's permissions; what is done with a repository is up to the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mercurial.hgweb import common as hgwebcommon
from mercurial.hgweb import request as hgwebrequest

from .. import compat


@dataclass(frozen=True, slots=True)
class ServedRepository:
    """A repository of a server, and a request to it.

    ``label`` is its name there. ``repo`` is what hgweb would show of it, and
    ``rctx`` hgweb's context of the request. It is not ``listed`` if it is
    hidden from the index.
    """

    label: str
    repo: Any
    rctx: Any
    listed: bool
    _served: Any

    def allows(self, operation: bytes | None) -> bool:
        """Return whether the requester may do this; None is reading pages."""
        try:
            self._served.check_perm(self.rctx, self.rctx.req, operation)
        except hgwebcommon.ErrorResponse:
            return False
        return True


def examine(
    app: Any,
    req: Any,
    res: Any,
    name: bytes,
    path: bytes,
    address: tuple[bytes, ...],
) -> ServedRepository:
    """Open a repository as hgwebdir does; ``address`` is below its own.

    ``app`` is the hgwebdir that got the request ``req``. Raises what opening the
    repository raises.
    """
    repo = compat.open_repository(app.ui.copy(), path)
    served = compat.hgweb_module().hgweb(repo)
    with served._obtainrepo() as view:
        asked = _request_to(req, name, address, app.ui)
        rctx = compat.hgweb_module().requestcontext(served, view, asked, res)
        view.ui.environ = asked.rawenv
        listed = not rctx.configbool(b'web', b'hidden')
        label = name.decode('utf-8', 'backslashreplace') or '/'
        return ServedRepository(label, view, rctx, listed, served)


def _request_to(
    req: Any, name: bytes, address: tuple[bytes, ...], ui: Any
) -> Any:
    """Return the request for an address of the repository ``name``."""
    environment = {k.decode('latin-1'): v for k, v in req.rawenv.items()}
    environment['PATH_INFO'] = b'/'.join((b'', *filter(None, (name, *address))))
    return hgwebrequest.parserequestfromenv(
        environment,
        reponame=name,
        altbaseurl=ui.config(b'web', b'baseurl'),
        bodyfh=req.bodyfh,
    )
