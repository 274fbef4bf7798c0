# SPDX-License-Identifier: GPL-2.0-or-later
"""The handshake: a version 1 request whose sender also speaks version 2.

Clients say so in headers of their first request, which is for capabilities. See
``hg help internals.wireprotocol``, "HTTP Transport Handshake".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mercurial import wireprotoserver, wireprotov1server
from mercurial.hgweb import common as hgwebcommon

from ..proto import cbor
from .commands import capabilities
from .commands.registry import API
from .exchange import CheckPerm

#: The path below which all APIs are.
API_BASE = b'api/'

#: The headers that decide about the answer. Clients split long values into
#: numbered headers; no client needs more than the first.
HEADERS = (b'X-HgUpgrade-1', b'X-HgProto-1')


def answer(
    rctx: Any,
    req: Any,
    res: Any,
    checkperm: CheckPerm,
    enabled: Mapping[bytes, API],
) -> bool:
    """Answer a request for capabilities if the client knows an enabled API.

    Returns whether it answered. The answer has the capabilities of version 1
    beside those of the APIs.
    """
    repo = rctx.repo
    upgrade = wireprotoserver.decodevaluefromheaders(req, b'X-HgUpgrade')
    proto = wireprotoserver.decodevaluefromheaders(req, b'X-HgProto')
    if b'cbor' not in proto.split():
        return False
    wanted = set(upgrade.split())
    common = [api for name, api in enabled.items() if name in wanted]
    if not common:
        return False
    checkperm(rctx, req, b'pull')
    handler = wireprotoserver.httpv1protocolhandler(
        req, repo.ui, lambda perm: checkperm(rctx, req, perm)
    )
    v1 = wireprotov1server.dispatch(
        repo,
        handler,
        b'capabilities',
        accesshidden=hgwebcommon.hashiddenaccess(repo, req),
    )
    value = {
        b'apibase': API_BASE,
        b'apis': {api.name: capabilities.describe(api, repo) for api in common},
        b'v1capabilities': v1.data,
    }
    res.status = b'200 OK'
    res.headers[b'Content-Type'] = cbor.MEDIA_TYPE
    res.setbodybytes(cbor.encode(value))
    return True
