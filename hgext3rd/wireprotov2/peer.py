# SPDX-License-Identifier: GPL-2.0-or-later
"""The peer that speaks version 1 and 2 to the same server.

One handshake tells what the server can do in both. The peer is Mercurial's own
HTTP peer; only ``getbundle`` is answered with version 2 commands where they
suffice. Everything else, and every call they do not cover, is version 1.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from mercurial import error, httppeer, policy, pycompat, util, wireprototypes
from mercurial.i18n import _
from mercurial.node import nullid
from mercurial.utils import stringutil, urlutil

from .client import connections, failures, offer, pace
from .client.http import HTTPClient
from .proto import cbor, frames
from .proto.errors import CBORError
from .pull import batches, resume, segments, widen
from .pull import getbundle as pull
from .pull.report import few_hooks
from .shallow import pull as pull_shallow
from .shallow import storage

# the APIs this client speaks, best first
APIS = (b'exp-http-v2-0003',)

# More than any server has to say of itself (6.0 needs 4 kB); it is held in
# memory before anything is known about the server.
MAX_HANDSHAKE = 4 * 1024 * 1024

# what applying raises for revisions that are well-formed and wrong
BAD_DATA = (
    error.StorageError,
    policy.importmod('mpatch').mpatchError,
    struct.error,
)

NARROW = wireprototypes.NARROWCAP

# What those answer who know better than the server which headers it may get,
# and servers that stumble over them.
REFUSALS = frozenset((400, 403, 431, 500, 501))

UPGRADE_HEADERS = {
    'X-HgProto-1': 'cbor',
    'X-HgUpgrade-1': pycompat.sysstr(b' '.join(APIS)),
    'Vary': 'X-HgProto-1,X-HgUpgrade-1',
}


# what answers to a handshake are
_KINDS = re.compile(r'application/mercurial-(cbor|\d+\.\d+)')


class Capabilities(set[bytes]):
    """Version 1 capabilities, with the API the same handshake offered."""

    api: offer.API | None = None


class _Reply:
    """A version 1 handshake response made from a version 2 one."""

    def __init__(self, response: Any, body: bytes) -> None:
        self._body: bytes | None = body
        self._url = response.geturl()
        self.status = response.status
        self.headers = {'content-type': 'application/mercurial-0.1'}

    def geturl(self) -> str:
        return self._url

    def getheader(self, name: str, default: str = '') -> str:
        return self.headers.get(name.lower(), default)

    def read(self, size: int | None = None) -> bytes:
        body, self._body = self._body or b'', b''
        return body

    def close(self) -> None:
        pass


class _Upgrade:
    """An opener that asks for version 2 and shows version 1's answer.

    So that Mercurial's handshake, with its care for redirects, errors and
    ancient servers, stays the one in charge.
    """

    def __init__(self, opener: Any) -> None:
        self._opener = opener
        self.answer: Any = None

    def open(self, request: Any) -> Any:
        request.paced = True
        response = self._opener.open(request)
        url = urlutil.hidepassword(pycompat.bytesurl(response.geturl()))
        kind = response.headers.get('Content-Type', '').partition(';')[0]
        if not _KINDS.fullmatch(kind.strip()):
            length = response.headers.get('Content-Length')
            if length != '0' and not response.peek(1):
                # the headers were cut; Mercurial would look for a static-http
                # repository and trip over the next cut
                raise failures.ConnectionFailure(
                    url, _(b'connection lost: the response is incomplete')
                )
            return response
        if kind.strip() != 'application/mercurial-cbor':
            return response
        body = self._read(url, response)
        try:
            values = cbor.decode_all(body)
            if len(values) != 1 or not isinstance(values[0], dict):
                raise CBORError(b'the handshake is not a map')
            self.answer = values[0]
            v1 = self.answer.get(b'v1capabilities')
            if not isinstance(v1, bytes):
                raise CBORError(b'the handshake has no version 1 capabilities')
        except CBORError as exc:
            raise failures.ServerFailure(url, exc.message) from exc
        return _Reply(response, v1)

    @staticmethod
    def _read(url: bytes, response: Any) -> bytes:
        try:
            body: bytes = response.read(MAX_HANDSHAKE + 1)
            # reading to the end lets the connection be used again
            if len(body) > MAX_HANDSHAKE or response.read(1):
                raise failures.ServerFailure(
                    url, _(b'the handshake is too large')
                )
        except (OSError, util.httplib.HTTPException) as exc:
            raise failures.ConnectionFailure(
                url, _(b'connection lost: %s') % stringutil.forcebytestr(exc)
            ) from exc
        response.close()
        expected = response.headers.get('Content-Length')
        if expected is not None and expected != '%d' % len(body):
            raise failures.ConnectionFailure(
                url, _(b'connection lost: the response is incomplete')
            )
        return body


def performhandshake(
    orig: Any, ui: Any, url: bytes, opener: Any, requestbuilder: Any
) -> Any:
    """Wrapped ``httppeer.performhandshake``: ask for version 2 as well."""
    if not ui.configbool(b'wireprotov2', b'client'):
        return orig(ui, url, opener, requestbuilder)

    def upgrading(url: str, data: Any, headers: dict[str, str]) -> Any:
        return requestbuilder(url, data, {**headers, **UPGRADE_HEADERS})

    connections.speak_once(ui, opener)
    pace.limit(opener, ui.configwith(float, b'http', b'timeout'))
    upgrade = _Upgrade(opener)
    try:
        respurl, info = orig(ui, url, upgrade, upgrading)
    except failures.ConnectionFailure:
        raise
    except failures.ServerFailure as exc:
        _warn(ui, exc)
        return orig(ui, url, opener, requestbuilder)
    except util.urlerr.httperror as exc:
        if exc.code not in REFUSALS:
            raise
        exc.close()
        # perhaps for the headers; if not, we get the same again
        return orig(ui, url, opener, requestbuilder)
    caps = Capabilities(info[b'v1capabilities'])
    if upgrade.answer is not None:
        try:
            caps.api = choose(respurl, upgrade.answer)
        except CBORError as exc:
            safe = urlutil.hidepassword(respurl)
            _warn(ui, failures.ServerFailure(safe, exc.message))
    info[b'v1capabilities'] = caps
    return respurl, info


def _warn(ui: Any, exc: failures.ServerFailure) -> None:
    ui.warn(
        _(b'warning: falling back to wire protocol version 1: %s\n')
        % exc.message
    )


def choose(baseurl: bytes, answer: Mapping[bytes, Any]) -> offer.API | None:
    """Return the best API of a handshake's answer that we speak, or None.

    Raises ``CBORError``.
    """
    apis = answer.get(b'apis')
    base = answer.get(b'apibase')
    if not isinstance(apis, dict) or not isinstance(base, bytes):
        raise CBORError(b'the handshake names no APIs')
    for name in APIS:
        if name not in apis:
            continue
        # relative to the repository and never another host's
        path = b'/'.join(p for p in base.split(b'/') if p not in (b'', b'..'))
        url = b'%s/%s/%s' % (baseurl.rstrip(b'/'), path, name)
        found = offer.parse(name, url, apis[name])
        if frames.FRAMING_0006.mediatype in found.framings:
            return found
    return None


def make_peer(orig: Any, ui: Any, *args: Any, **kwargs: Any) -> Any:
    """Wrapped ``httppeer._make_peer``: give the peer its second protocol."""
    peer = orig(ui, *args, **kwargs)
    found = getattr(peer._caps, 'api', None)
    # hidden changesets are for version 1 only
    if found is not None and not peer._remotehidden:
        peer.__class__ = HybridPeer
        peer.v2api = found
        if NARROW not in peer._caps and pull.can_filter_paths(found):
            # the narrow extension asks for this before it pulls
            peer._caps.add(NARROW)
            peer.v2_narrow = True
        ui.debug(b'(%s is available)\n' % found.name)
    return peer


class HybridPeer(httppeer.httppeer):
    """An HTTP peer with an API of version 2 beside version 1.

    ``v2api`` becomes None when the server turns out not to do what it offers.
    """

    v2api: offer.API | None
    v2_allow_pieces = True
    # paths are filtered by version 2 alone
    v2_narrow = False
    v2_pieces = 0
    # all heads, where they had to be asked for already
    v2_heads: Sequence[bytes] = ()
    # makes deltas apply in a repository of limited depth
    v2_complete: pull.Complete | None = None
    # during a pull that is part of another
    v2_in_batch = False

    def v2client(self) -> HTTPClient:
        assert self.v2api is not None
        return HTTPClient(
            self.ui, self._urlopener, self._requestbuilder, self.v2api.url
        )

    def v2_client_apart(self) -> HTTPClient:
        """A client with connections of its own, for use during a response."""
        assert self.v2api is not None
        _url, authinfo = self.path.url.authinfo()
        opener = connections.another(self.ui, authinfo, self._urlopener)
        return HTTPClient(self.ui, opener, self._requestbuilder, self.v2api.url)

    def v2_can_pull(self, kwargs: Mapping[bytes, Any]) -> bool:
        """Return whether a getbundle call would be made with version 2."""
        return self.v2api is not None and pull.can_pull(
            self.v2api,
            kwargs,
            bool(self.capable(b'lfs-serve')),
            self.v2_narrow,
        )

    def getbundle(self, source: bytes, **kwargs: Any) -> Any:
        args = pycompat.byteskwargs(kwargs)
        if self.v2api is None or not self.v2_can_pull(args):
            self._require_narrow(args)
            return super().getbundle(source, **kwargs)

        def obsmarkers() -> Any:
            names = ('bundlecaps', 'common', 'heads', 'obsmarkers')
            asked = {name: kwargs.get(name) for name in names}
            return httppeer.httppeer.getbundle(self, source, cg=False, **asked)

        try:
            return pull.getbundle(
                self.ui,
                self.v2client(),
                self.v2api,
                args,
                obsmarkers,
                self.v2_complete,
            )
        except failures.ServerFailure as exc:
            if args.get(b'narrow') or args.get(b'depth'):
                raise
            self.v2_give_up(exc)
            return super().getbundle(source, **kwargs)

    def _require_narrow(self, kwargs: Mapping[bytes, Any]) -> None:
        """Refuse what the server's version 1 would misunderstand."""
        if self.v2_narrow and kwargs.get(b'narrow'):
            raise error.Abort(
                _(b'the server cannot send this part of its history'),
                hint=_(b'it filters paths, but has no narrow extension'),
            )

    def narrow_widen(self, **kwargs: Any) -> Any:
        if self.v2_narrow and self.v2api is not None:
            return widen.widen(self.ui, self.v2client(), self.v2api, kwargs)
        self._require_narrow({b'narrow': True})
        return super().narrow_widen(**kwargs)

    def v2_give_up(self, exc: failures.ServerFailure) -> None:
        """Use version 1 from now on, and say why."""
        self.v2api = None
        _warn(self.ui, exc)


def prepare_getbundle(orig: Any, pullop: Any, kwargs: dict[bytes, Any]) -> None:
    """Wrapped ``exchange._pullbundle2extraprepare``: ask for phase roots.

    Version 2 tells phases as the pushkey namespace does, so they are applied
    the way they are for servers without binary phases.
    """
    orig(pullop, kwargs)
    peer = pullop.remote
    if pullop.depth:
        kwargs[b'depth'] = pullop.depth
    args = {key: value for key, value in kwargs.items() if key != b'phases'}
    if (
        kwargs.get(b'phases')
        and isinstance(peer, HybridPeer)
        and peer.v2_can_pull(args)
    ):
        del kwargs[b'phases']
        kwargs.setdefault(b'listkeys', []).append(b'phases')
        pullop.stepsdone.discard(b'phases')


def maybe_pull_pieces(orig: Any, pullop: Any) -> None:
    """Wrapped ``exchange._maybeapplyclonebundle``: pieces come after bundles.

    Both run before discovery, which then finds less to discover.
    """
    orig(pullop)
    peer = pullop.remote
    if isinstance(peer, HybridPeer) and not peer.v2_in_batch:
        start = len(pullop.repo.unfiltered())
        try:
            if segments.suitable(pullop, peer):
                peer.v2_pieces = segments.pull(pullop, peer)
            elif batches.suitable(pullop, peer):
                peer.v2_pieces = batches.pull_all(pullop, peer)
        except failures.ServerFailure as exc:
            if len(pullop.repo.unfiltered()) > start:
                raise
            peer.v2_give_up(exc)


def find_common_incoming(
    orig: Any,
    repo: Any,
    remote: Any,
    heads: Any = None,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Wrapped ``discovery.findcommonincoming``: do not ask for heads again.

    That is all there is to discover for an empty repository.
    """
    known = getattr(remote, 'v2_heads', ())
    if known and not len(repo.unfiltered()):
        return [nullid], True, heads or list(known)
    return orig(repo, remote, heads, *args, **kwargs)


def exchange_pull(
    orig: Any, repo: Any, remote: Any, *args: Any, **kwargs: Any
) -> Any:
    """Wrapped ``exchange.pull``: an interrupted clone keeps what it has."""
    if getattr(remote, 'v2_in_batch', False):
        return orig(repo, remote, *args, **kwargs)
    depth = pull_shallow.parse_depth(
        kwargs.get('depth') or storage.depth_of_command(repo)
    )
    if depth and not _has_ellipses(repo, remote, kwargs):
        _limit_depth(repo, remote, depth)
        kwargs['depth'] = pull_shallow.first_depth(repo, depth)
    first = len(repo.unfiltered())
    if not isinstance(remote, HybridPeer):
        pullop = orig(repo, remote, *args, **kwargs)
    else:
        if storage.is_shallow(repo):
            remote.v2_complete = pull_shallow.Completer(repo, remote)
        pullop = _pull(orig, repo, remote, *args, **kwargs)
    if storage.is_shallow(repo):
        pull_shallow.finish(pullop, remote, depth, first)
    return pullop


def _has_ellipses(repo: Any, remote: Any, kwargs: dict[str, Any]) -> bool:
    """Whether depth means what it means for Mercurial's narrow extension."""
    narrow = repo.narrowpats != (set(), set()) or kwargs.get('includepats')
    return bool(narrow and remote.capable(wireprototypes.ELLIPSESCAP1))


def _limit_depth(repo: Any, remote: Any, depth: int) -> None:
    if not (
        isinstance(remote, HybridPeer)
        and remote.v2api is not None
        and pull.has_commands(remote.v2api)
    ):
        raise error.Abort(
            _(b'the server cannot limit the depth of what it sends'),
            hint=_(b'that takes wire protocol version 2 over HTTP'),
        )
    pull_shallow.prepare(repo, remote, depth)


def _pull(
    orig: Any, repo: Any, remote: HybridPeer, *args: Any, **kwargs: Any
) -> Any:
    if kwargs.get('confirm'):
        # pieces cannot be taken back
        remote.v2_allow_pieces = False
    # a clone that is killed has its default path from here on
    begun = resume.begin_clone(repo)
    try:
        with few_hooks(repo):
            pullop = orig(repo, remote, *args, **kwargs)
    except BaseException as exc:
        if resume.unfinished(repo):
            resume.interrupted(repo)
        if isinstance(exc, storage.MissingFileData):
            # not the server's fault
            raise
        if remote.v2api is not None and isinstance(exc, BAD_DATA):
            raise failures.ServerFailure(
                urlutil.hidepassword(remote.url()),
                _(b'sent data that cannot be applied: %s')
                % stringutil.forcebytestr(exc),
            ) from exc
        raise
    if remote.v2_pieces:
        # the ordinary pull after them may have found nothing
        pullop.cgresult = pullop.cgresult or 1
    if (begun or pullop.heads is None) and resume.unfinished(repo):
        resume.end(repo)
    return pullop
