# SPDX-License-Identifier: GPL-2.0-or-later
"""Everything that a response depends on, read from a repository.

Collects the values of a key; ``keys`` makes a key of them. ``access`` decides
whether everybody sees the same; only then is the view in a key ``public``. In
all other cases it is a digest of exactly what this requester sees.
"""

from __future__ import annotations

from typing import Any

from .. import censoring
from ..access import visibility
from ..access.requester import Requester
from ..access.visibility import Audience
from . import identity, keys, policy


def key_state(
    requester: Requester,
    api: bytes,
    framing: bytes,
    command: bytes,
    args: dict[bytes, Any],
    encoding: bytes,
) -> keys.KeyState | None:
    """Return what the response to a request depends on.

    None means that the response must not be cached. The caller has checked
    the permission to run the command; a key does not replace that check.
    """
    rule = policy.rule(command)
    if rule is None:
        return None
    references = rule.references(args)
    if references is None:
        return None
    repo = requester.repo
    audience = visibility.audience(repo, references)
    if audience is Audience.UNKNOWN:
        return None
    view = keys.PUBLIC
    if audience is Audience.VIEW:
        view = keys.digest(visibility.fingerprint(repo))
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
        narrow=requester.narrow_patterns(),
        censored=censoring.generation(repo),
        mutable=mutable,
    )
