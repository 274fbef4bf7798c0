# SPDX-License-Identifier: GPL-2.0-or-later
"""What a page consists of, whatever it is written as.

All texts are ``str`` and not escaped: ``markup`` and ``plain`` write them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure that stands out: ``value`` is its text, ``note`` a remark."""

    label: str
    value: str
    note: str = ''


@dataclass(frozen=True, slots=True)
class Facts:
    """The most important figures of a section."""

    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """A text that leads to another address."""

    text: str
    href: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A text, and the part of the whole width that a bar below it takes."""

    text: str
    share: float


@dataclass(frozen=True, slots=True)
class Button:
    """A button that sends hidden ``fields`` by POST to the page itself."""

    text: str
    fields: tuple[tuple[str, str], ...]


Cell = str | Link | Bar | Button


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; ``number`` aligns it to the right.

    Those that are ``minor`` are left out where there is little room.
    """

    title: str
    number: bool = False
    minor: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table below a title; ``folded`` ones are opened by the reader."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ''
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """An SVG element below a title; ``note`` explains what it shows."""

    title: str
    svg: str
    note: str = ''


@dataclass(frozen=True, slots=True)
class Note:
    """A paragraph; ``important`` ones stand out."""

    text: str
    important: bool = False


Block = Facts | Table | Chart | Note


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page.

    ``data`` are its figures under the names that programs use: numbers, bytes,
    ``None``, and lists and dictionaries of these.
    """

    title: str
    blocks: tuple[Block, ...]
    data: Mapping[str, Any] = field(default_factory=dict)
