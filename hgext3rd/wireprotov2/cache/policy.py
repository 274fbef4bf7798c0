# SPDX-License-Identifier: GPL-2.0-or-later
"""Which requests may be answered from a cache, and what they refer to.

Pure: arguments in, a decision out. Whether the revisions referred to are
public is for ``view`` to find out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Arguments = dict[bytes, Any]


@dataclass(frozen=True, slots=True)
class References:
    """The revisions a request names; its response shows them or ancestors.

    ``manifests`` are (tree, node) and ``files`` (path, node).
    """

    changesets: tuple[bytes, ...] = ()
    manifests: tuple[tuple[bytes, bytes], ...] = ()
    files: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """How the responses of one command can be cached.

    ``references`` returns what the arguments name, or None for arguments it
    does not understand (never cached; the command itself complains).
    ``bookmark_fields`` are values of ``fields`` that show bookmarks.
    ``names_segment`` is for commands whose argument is the name of a piece
    of public history.
    """

    references: Callable[[Arguments], References | None]
    bookmark_fields: frozenset[bytes] = field(default_factory=frozenset)
    names_segment: bool = False


def rule(command: bytes) -> Rule | None:
    """Return the rule of a command, or None if it is never cached."""
    return RULES.get(command)


def shows_bookmarks(command_rule: Rule, args: Arguments) -> bool:
    """True if the response to ``args`` depends on bookmarks."""
    fields = args.get(b'fields')
    if not isinstance(fields, (set, frozenset, list, tuple)):
        return False
    return not command_rule.bookmark_fields.isdisjoint(fields)


def _nodes(value: Any) -> tuple[bytes, ...] | None:
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        return None
    if not all(isinstance(node, bytes) for node in value):
        return None
    return tuple(value)


def _revision_specifiers(value: Any) -> tuple[bytes, ...] | None:
    """Return the nodes in a list of API 0003 revision specifiers."""
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        return None
    found: list[bytes] = []
    for specifier in value:
        if not isinstance(specifier, dict):
            return None
        for name in (b'nodes', b'roots', b'heads'):
            nodes = _nodes(specifier.get(name))
            if nodes is None:
                return None
            found.extend(nodes)
    return tuple(found)


def _changesets(args: Arguments) -> tuple[bytes, ...] | None:
    """Return changesets named the ways of API 0002 and 0003."""
    found: list[bytes] = []
    node_range = args.get(b'noderange')
    if node_range is None:
        node_range = ()
    if not isinstance(node_range, (list, tuple)):
        return None
    for value in (*node_range, args.get(b'nodes')):
        nodes = _nodes(value)
        if nodes is None:
            return None
        found.extend(nodes)
    specified = _revision_specifiers(args.get(b'revisions'))
    if specified is None:
        return None
    return (*found, *specified)


def _changesetdata(args: Arguments) -> References | None:
    changesets = _changesets(args)
    return None if changesets is None else References(changesets=changesets)


def _manifestdata(args: Arguments) -> References | None:
    nodes = _nodes(args.get(b'nodes'))
    changesets = _revision_specifiers(args.get(b'revisions'))
    tree = args.get(b'tree')
    if nodes is None or changesets is None or not isinstance(tree, bytes):
        return None
    manifests = tuple((tree, node) for node in nodes)
    return References(changesets=changesets, manifests=manifests)


def _filedata(args: Arguments) -> References | None:
    nodes = _nodes(args.get(b'nodes'))
    path = args.get(b'path')
    if nodes is None or not isinstance(path, bytes):
        return None
    return References(files=tuple((path, node) for node in nodes))


def _filesdata(args: Arguments) -> References | None:
    changesets = _revision_specifiers(args.get(b'revisions'))
    return None if changesets is None else References(changesets=changesets)


def _segmentdata(args: Arguments) -> References | None:
    return References() if isinstance(args.get(b'name'), bytes) else None


RULES: dict[bytes, Rule] = {
    b'changesetdata': Rule(
        _changesetdata, bookmark_fields=frozenset([b'bookmarks'])
    ),
    b'filedata': Rule(_filedata),
    b'filesdata': Rule(_filesdata),
    b'manifestdata': Rule(_manifestdata),
    b'segmentdata': Rule(_segmentdata, names_segment=True),
}
