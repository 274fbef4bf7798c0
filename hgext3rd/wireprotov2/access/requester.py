# SPDX-License-Identifier: GPL-2.0-or-later
"""The requester: who sends a request, and what they may see.

Together with ``visibility`` this is the only place that decides what a
requester may see: Mercurial's view of hidden and secret changesets, and the
files that ``[narrowacl]`` allows. The cache, segments and commands ask here.
Nothing here knows how a response is made or kept. hgweb has checked the
permission to pull or push before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mercurial import match as matchmod
from mercurial import requirements, wireprotov1server

from ..proto.errors import CommandError
from ..requirements import SHALLOW

#: Included and excluded patterns, as ``[narrowacl]`` has them.
NarrowPatterns = tuple[tuple[bytes, ...], tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class Requester:
    """Who sends a request, with the view of the repository that they get.

    ``repo`` is filtered to what the requester may see. ``user`` is the name
    they authenticated with, or None.
    """

    repo: Any
    user: bytes | None = None

    def narrow_patterns(self) -> NarrowPatterns | None:
        """Return the (included, excluded) patterns the user is limited to.

        Returns None if ``[narrowacl]`` is not configured. Mercurial's narrow
        extension limits version 1 by the same section.
        """
        ui = self.repo.ui
        if not ui.configitems(b'narrowacl'):
            return None
        user = self.user or ui.environ.get(b'REMOTE_USER') or b''
        name = ui.shortuser(user)
        default = [
            tuple(ui.configlist(b'narrowacl', b'default.' + kind))
            for kind in (b'includes', b'excludes')
        ]
        includes, excludes = (
            tuple(ui.configlist(b'narrowacl', name + b'.' + kind, value))
            for kind, value in zip(
                (b'includes', b'excludes'), default, strict=True
            )
        )
        return includes, excludes

    def narrow_matcher(self) -> Any:
        """Return a matcher of the paths the user may have, None for all.

        Raises ``CommandError`` for a user to whom the configuration allows
        nothing.
        """
        patterns = self.narrow_patterns()
        if patterns is None:
            return None
        includes, excludes = patterns
        if not includes:
            raise CommandError(
                b'narrowacl configuration for user %s is empty',
                (self.user or b'(anonymous)',),
            )
        return matchmod.match(
            self.repo.root,
            b'',
            include=[_path_pattern(p) for p in includes],
            exclude=[_path_pattern(p) for p in excludes],
        )

    def file_matcher(self, matcher: Any = None) -> Any:
        """Return ``matcher`` limited to paths the user may have.

        Paths that a narrow repository does not have are left out as well.
        Raises ``CommandError`` as ``narrow_matcher`` does.
        """
        allowed = self.narrow_matcher()
        if allowed is not None:
            matcher = (
                allowed
                if matcher is None
                else matchmod.intersectmatchers(matcher, allowed)
            )
        return self.repo.narrowmatch(matcher)

    def may_have_segments(self) -> bool:
        """Return whether segments hold no more than the user may have.

        A segment holds all files of its changesets. So users with limited
        access may not have any, and a repository that is narrow or of limited
        depth itself cannot make any.
        """
        partial = {requirements.NARROW_REQUIREMENT, SHALLOW}
        if partial & set(self.repo.requirements):
            return False
        return self.narrow_patterns() is None


def served(repo: Any) -> Requester:
    """Return a requester who sees what every reader of the repository sees."""
    return Requester(repo.filtered(b'served'))


def for_command(
    repo: Any, command: bytes, user: bytes | None, sees_hidden: bool
) -> Requester:
    """Return the requester who runs ``command`` over HTTP.

    ``sees_hidden`` is what hgweb says about access to hidden changesets.
    """
    # Extensions wrap this function of core to serve another view.
    view = wireprotov1server.getdispatchrepo(
        repo, None, command, accesshidden=sees_hidden
    )
    return Requester(view, user)


def _path_pattern(path: bytes) -> bytes:
    return b'path:.' if path == b'*' else b'path:' + path
