# SPDX-License-Identifier: GPL-2.0-or-later
"""The part of the files a requester may have: ``[narrowacl]``.

The same configuration limits what version 1 sends to narrow clones.
"""

from __future__ import annotations

from typing import Any

from mercurial import match as matchmod

from ..cache import view
from ..proto.errors import CommandError
from .commands.registry import Request


def acl_matcher(request: Request) -> Any:
    """Return a matcher of the paths allowed, ``None`` if all are.

    Raises ``CommandError`` for users the configuration does not mention.
    """
    found = view.narrow_access(request.repo, request.user)
    if found is None:
        return None
    includes, excludes = found
    if not includes:
        raise CommandError(
            b'narrowacl configuration for user %s is empty',
            (request.user or b'(anonymous)',),
        )
    return matchmod.match(
        request.repo.root,
        b'',
        include=[_pattern(p) for p in includes],
        exclude=[_pattern(p) for p in excludes],
    )


def _pattern(path: bytes) -> bytes:
    return b'path:.' if path == b'*' else b'path:' + path


def file_matcher(request: Request, matcher: Any = None) -> Any:
    """Return ``matcher`` limited to what the requester and the store have."""
    allowed = acl_matcher(request)
    if allowed is not None:
        matcher = (
            allowed
            if matcher is None
            else matchmod.intersectmatchers(matcher, allowed)
        )
    return request.repo.narrowmatch(matcher)
