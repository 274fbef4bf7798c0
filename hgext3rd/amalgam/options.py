# SPDX-License-Identifier: GPL-2.0-or-later
"""Options as data: one table per extension.

The registration with Mercurial, the text of ``hg help`` and the reference in
the documentation are made from this table. So none of them can miss an option
or contradict another. Imported whenever an extension is loaded: keep it light.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mercurial import registrar

#: The possible values of ``Option.kind``.
KINDS = ('boolean', 'integer', 'number', 'size', 'text', 'path', 'list')


class Option:
    """One option.

    Not a dataclass or a named tuple: importing ``dataclasses`` would take a
    millisecond of every command, making a named tuple a fifth of that.

    ``default`` is what Mercurial's configuration returns for an option that is
    not set; lists are given as tuples. ``help`` is one paragraph of
    reStructuredText without the default. ``shown`` replaces the default in
    texts where the value itself says little. A ``pattern`` is an option whose
    name is a regular expression; texts show it under the name ``shown``.
    """

    def __init__(
        self,
        section: str,
        name: str,
        default: Any,
        kind: str,
        help: str,
        shown: str | None = None,
        pattern: bool = False,
    ) -> None:
        self.section = section
        self.name = name
        self.default = default
        self.kind = kind
        self.help = help
        self.shown = shown
        self.pattern = pattern

    @property
    def title(self) -> str:
        """The name that texts show."""
        return self.shown if self.pattern and self.shown else self.name

    @property
    def default_text(self) -> str:
        """The default that texts show."""
        if self.pattern:
            return 'none'
        if self.shown is not None:
            return self.shown
        if self.default is None:
            return 'none'
        if isinstance(self.default, bool):
            return 'yes' if self.default else 'no'
        if isinstance(self.default, tuple):
            names = ', '.join(name.decode() for name in self.default)
            return names or 'none'
        if isinstance(self.default, bytes):
            return self.default.decode()
        return str(self.default)


def register(options: Iterable[Option]) -> dict:
    """Return the ``configtable`` of an extension with these options."""
    table: dict = {}
    item = registrar.configitem(table)
    for option in options:
        default = option.default
        item(
            option.section.encode(),
            option.name.encode(),
            # Core requires a function that makes a new list for each use.
            default=(lambda value=default: list(value))
            if isinstance(default, tuple)
            else default,
            generic=option.pattern,
        )
    return table


def help_text(options: Iterable[Option]) -> str:
    """Return the options as a definition list for ``hg help``."""
    entries = []
    for option in options:
        lines = [line.strip() for line in option.help.strip().splitlines()]
        text = '\n  '.join(lines)
        entries.append(
            f'``{option.section}.{option.title}``\n'
            f'  {text} (default: {option.default_text})\n'
        )
    return '\n'.join(entries)
