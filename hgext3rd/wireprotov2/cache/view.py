# SPDX-License-Identifier: GPL-2.0-or-later
"""What a response depends on, read from a repository.

Only reads; what the key is made of these values is for ``keys``. The rule: a
key says ``public`` only if everything the request refers to is public now,
hence visible to everybody who may read the repository. In all other cases it
carries a digest of what exactly this requester sees.
"""

from __future__ import annotations

from typing import Any

from mercurial import error, phases

from .. import censoring
from ..segments import record
from . import identity, keys, policy
from .agreement import CacheAgreement


def key_state(
    repo: Any,
    api: bytes,
    framing: bytes,
    command: bytes,
    args: dict[bytes, Any],
    encoding: bytes,
    user: bytes | None = None,
) -> keys.KeyState | None:
    """Return what the response to a request depends on.

    ``repo`` is filtered to what the requester may see, ``user`` who that is.
    None means: not to be cached. Permission to run the command at all has
    been checked before; a key does not replace it.
    """
    rule = policy.rule(command)
    if rule is None:
        return None
    references = rule.references(args)
    if references is None:
        return None
    if rule.names_segment:
        return segment_key_state(repo, args[b'name'])
    view = _view(repo, references)
    if view is None:
        return None
    mutable = b''
    if policy.shows_bookmarks(rule, args):
        mutable = keys.digest(sorted(repo._bookmarks.items()))
    return keys.KeyState(
        api=api,
        framing=framing,
        command=command,
        args=args,
        encoding=encoding,
        repository=identity.of(repo),
        view=view,
        narrow=narrow_access(repo, user),
        censored=censoring.generation(repo),
        mutable=mutable,
    )


def segment_key_state(repo: Any, name: bytes) -> keys.KeyState | None:
    """Return the state for a piece of history, as ``key_state`` makes it.

    All generations of the protocol share its entry.
    """
    narrow = narrow_access(repo, None)
    if narrow is not None or not _offers_segment(repo, name):
        return None
    return keys.KeyState(
        api=b'',
        framing=b'',
        command=b'segmentdata',
        args={b'name': name},
        encoding=b'identity',
        repository=identity.of(repo),
        censored=censoring.generation(repo),
    )


def narrow_access(
    repo: Any, user: bytes | None
) -> tuple[tuple[bytes, ...], tuple[bytes, ...]] | None:
    """Return the (included, excluded) patterns ``user`` is limited to.

    None without the access control of the narrow extension.
    """
    ui = repo.ui
    if not ui.configitems(b'narrowacl'):
        return None
    name = ui.shortuser(user or ui.environ.get(b'REMOTE_USER') or b'')
    default = [
        tuple(ui.configlist(b'narrowacl', b'default.' + kind))
        for kind in (b'includes', b'excludes')
    ]
    includes, excludes = (
        tuple(ui.configlist(b'narrowacl', name + b'.' + kind, value))
        for kind, value in zip((b'includes', b'excludes'), default, strict=True)
    )
    return includes, excludes


def _view(repo: Any, references: policy.References) -> bytes | None:
    """Return ``PUBLIC``, a digest of what is visible, or None.

    None if a changeset named is not there: commands may pass over it, so the
    answer would change when it arrives. Manifests and files that are not
    there are errors, which are never cached.
    """
    unfiltered = repo.unfiltered()
    cache = unfiltered._phasecache
    try:
        revs = [unfiltered.changelog.rev(n) for n in references.changesets]
    except error.LookupError:
        return None
    if not cache.hasnonpublicphases(unfiltered):
        return keys.PUBLIC
    try:
        revs += _introducing(unfiltered, references)
    except error.LookupError:
        return _fingerprint(repo)
    if all(cache.phase(unfiltered, rev) == phases.public for rev in revs):
        return keys.PUBLIC
    return _fingerprint(repo)


def _introducing(unfiltered: Any, references: policy.References) -> list[int]:
    """Return the changelog revisions that introduced manifests and files.

    Raises ``LookupError`` for what does not exist.
    """
    revs: list[int] = []
    for tree, node in references.manifests:
        storage = unfiltered.manifestlog.getstorage(tree)
        revs.append(storage.linkrev(storage.rev(node)))
    for path, node in references.files:
        storage = unfiltered.file(path)
        revs.append(storage.linkrev(storage.rev(node)))
    return revs


def _offers_segment(repo: Any, name: bytes) -> bool:
    """True unless the piece holds, or once held, what is hidden by now."""
    unfiltered = repo.unfiltered()
    if not unfiltered._phasecache.hasnonpublicphases(unfiltered):
        return True
    pieces = record.listing(repo, CacheAgreement(repo)).pieces()
    return any(piece.name == name for piece in pieces)


def _fingerprint(repo: Any) -> bytes:
    """Return a digest of which changesets ``repo`` shows in which phase.

    The heads of a set closed under ancestors say which set it is, the roots
    of phases who is in which.
    """
    unfiltered = repo.unfiltered()
    node = unfiltered.changelog.node
    roots = [
        [phase, sorted(node(rev) for rev in revs)]
        for phase, revs in sorted(unfiltered._phasecache._phaseroots.items())
        if phase != phases.public and revs
    ]
    return keys.digest([repo.filtername, sorted(repo.heads()), roots])
