# SPDX-License-Identifier: GPL-2.0-or-later
"""Which commands may be answered from a cache, and what their arguments name.

Pure: arguments in, a decision out. ``access`` decides whether the named
revisions are public. Commands whose arguments name something other than
revisions declare a key state of their own, see ``server.commands.registry``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..access.visibility import References

Arguments = dict[bytes, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """How the responses of one command can be cached.

    ``references`` returns what the arguments name. It returns None for
    arguments it does not understand; the response is then not cached, and the
    command itself refuses them. ``bookmark_fields`` are values of the argument
    ``fields`` with which the response shows bookmarks.
    """

    references: Callable[[Arguments], References | None]
    bookmark_fields: frozenset[bytes] = field(default_factory=frozenset)


def rule(command: bytes) -> Rule | None:
    """Return the rule of a command, or None if there is none."""
    return RULES.get(command)


def shows_bookmarks(command_rule: Rule, args: Arguments) -> bool:
    """Return whether the response to ``args`` depends on bookmarks."""
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
    """Return the changesets that arguments of API 0002 and 0003 name."""
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


RULES: dict[bytes, Rule] = {
    b'changesetdata': Rule(
        _changesetdata, bookmark_fields=frozenset([b'bookmarks'])
    ),
    b'filedata': Rule(_filedata),
    b'filesdata': Rule(_filesdata),
    b'manifestdata': Rule(_manifestdata),
}
