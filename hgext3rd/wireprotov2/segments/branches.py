# SPDX-License-Identifier: GPL-2.0-or-later
"""Telling Mercurial the branches of many new changesets at once.

Mercurial notes the branch of each changeset when it is added, in a cache that
has a record for each. Parsing all texts, and asking Mercurial to note one after
the other, takes as long as storing the changesets. So does finding the heads of
branches, which most histories need not be searched for.
"""

from __future__ import annotations

from itertools import count
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
    repo: Any, target: Any, first: int, nodes: list[bytes], texts: list[bytes]
) -> set[bytes]:
    """Note the branches of changesets that were added to ``target``.

    ``first`` is the revision of the first; ``nodes`` and ``texts`` have an item
    for each. Return the names of their branches. Raises ``PackError`` for texts
    of no changesets.
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
    if plain and len(nodes) > 1 and _all_default(texts):
        register(first, _Named(target, texts[0], _DEFAULT))
        number = cache._namesreverse[_DEFAULT[0]]
        if _fill(cache._rbcrevs, first, nodes, number):
            return {_DEFAULT[0]}
    for rev, node, text in zip(count(first), nodes, texts, strict=False):
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


def _all_default(texts: list[bytes]) -> bool:
    """Return whether no text can name a branch."""
    joined = b'\0'.join(texts)
    if b'branch:' in joined or b'close:' in joined:
        return False
    return min(text.count(b'\n') for text in texts) >= 2


def _fill(records: Any, first: int, nodes: list[bytes], number: int) -> bool:
    """Write the same branch into the records of consecutive changesets.

    Return whether that was possible.
    """
    end = (first + len(nodes)) * _RECORD_SIZE
    # This makes room for all of them.
    records.pack_into(end - _RECORD_SIZE, nodes[-1], number)
    rest = getattr(records, '_rest', None)
    start = first * _RECORD_SIZE - len(records) + len(rest or b'')
    if not isinstance(rest, bytearray) or start < 0:
        return False
    branch = number.to_bytes(4, 'big')
    rest[start : start + len(nodes) * _RECORD_SIZE] = b''.join(
        [node[:4] + branch for node in nodes]
    )
    return True


def note_heads(repo: Any, branch: bytes) -> None:
    """Note the heads of a repository all of whose changesets are on ``branch``.

    They are those of its graph, which Mercurial finds much faster than those of
    branches in general. No transaction may be open.
    """
    if not repo.obsstore:
        heads = repo.changelog.heads()
        repo._branchcaches.replace(repo, {branch: heads})
