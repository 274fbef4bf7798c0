# SPDX-License-Identifier: GPL-2.0-or-later
"""Telling Mercurial the branches of many new changesets at once.

Mercurial notes the branch of each changeset when it is added, in a cache that
has a record for each. Parsing all texts, and asking Mercurial to note one after
the other, takes as long as storing the changesets. So does finding the heads of
branches, which most histories need not be searched for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mercurial import changelog, localrepo

from ...amalgam.packs.errors import PackError

_DEFAULT = (b'default', False)

#: The bit of a record that says that the changeset closes its branch, and the
#: bytes of a record (``mercurial.branching.rev_cache``).
_CLOSED = 0x80000000
_RECORD_SIZE = 8


class _Named:
    """Stands for a changeset of which only the branch is known so far."""

    __slots__ = ('_changelog', '_text', 'branchinfo')

    def __init__(
        self, target: Any, text: bytes, branchinfo: tuple[bytes, bool]
    ) -> None:
        self._changelog = target
        self._text = text
        self.branchinfo = branchinfo

    def __getattr__(self, name: str) -> Any:
        return getattr(_parsed(self._changelog, self._text), name)


def _parsed(target: Any, text: bytes) -> Any:
    return changelog.changelogrevision(target, text, {}, False)


def note(
    repo: Any, target: Any, added: Iterable[tuple[int, bytes, bytes]]
) -> set[bytes]:
    """Note the branches of changesets that were added to ``target``.

    ``added`` has the revision, node and text of each. Return the names of their
    branches. Raises ``PackError`` for texts of no changesets.
    """
    register = repo.register_changeset
    cache = repo.revbranchcache()
    # An extension may do more with each changeset.
    plain = (
        getattr(register, '__func__', None)
        is localrepo.localrepository.register_changeset
    )
    # By branch and whether it is closed: the number in records.
    numbers: dict[tuple[bytes, bool], int] = {}
    names: set[bytes] = set()
    for rev, node, text in added:
        info = _DEFAULT
        if b'branch:' in text or b'close:' in text:
            try:
                info = _parsed(target, text).branchinfo
            except ValueError as exc:
                raise PackError('a changeset is damaged') from exc
        elif text.count(b'\n') < 2:
            raise PackError('a changeset is damaged')
        number = numbers.get(info)
        if number is None:
            names.add(info[0])
            register(rev, _Named(target, text, info))
            if plain:
                number = cache._namesreverse[info[0]]
                numbers[info] = number | _CLOSED if info[1] else number
        else:
            cache._rbcrevs.pack_into(rev * _RECORD_SIZE, node, number)
    return names


def note_heads(repo: Any, branch: bytes) -> None:
    """Note the heads of a repository all of whose changesets are on ``branch``.

    They are those of its graph, which Mercurial finds much faster than those of
    branches in general. No transaction may be open.
    """
    if not repo.obsstore:
        heads = repo.changelog.heads()
        repo._branchcaches.replace(repo, {branch: heads})
