# SPDX-License-Identifier: GPL-2.0-or-later
"""Numbers as people read them: sizes, counts, shares, and marks of an axis.

Pure: takes numbers, gives text.
"""

from __future__ import annotations

import math
from collections.abc import Callable

_UNITS = ('B', 'KB', 'MB', 'GB', 'TB', 'PB')

# Marks of an axis are multiples of one of these, times a power of ten.
_STEPS = (1, 2, 5, 10)

#: Turns a number into text.
Show = Callable[[float], str]


def _unit_of(value: float) -> int:
    """Return the number of the unit that suits a size; Mercurial's have 1024."""
    unit = 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value /= 1024
        unit += 1
    return unit


def size_text(value: float) -> str:
    """Return a size in bytes with three digits that count, such as 1.25 MB."""
    unit = _unit_of(value)
    if not unit:
        return f'{value:.0f} B'
    scaled = value / 1024**unit
    digits = 2 if scaled < 9.995 else 1 if scaled < 99.95 else 0
    return f'{scaled:.{digits}f} {_UNITS[unit]}'


def count_text(value: float) -> str:
    """Return a whole number with separators of thousands."""
    return f'{value:,.0f}'


def share_text(part: float, whole: float) -> str:
    """Return ``part`` as a percentage of ``whole``, empty if that is 0."""
    return f'{100 * part / whole:.1f}%' if whole else ''


def size_marks(most: float, about: int = 4) -> list[float]:
    """Return round sizes from 0 to at least ``most``, about so many."""
    unit = 1024 ** _unit_of(most)
    return [mark * unit for mark in count_marks(most / unit, about, unit == 1)]


def count_marks(most: float, about: int = 4, whole: bool = True) -> list[float]:
    """Return round numbers from 0 to at least ``most``, about so many.

    With ``whole`` they are integers.
    """
    if most <= 0:
        return [0, 1]
    rough = most / about
    power = 10 ** math.floor(math.log10(rough))
    step = next(s * power for s in _STEPS if s * power >= rough * 0.999)
    if whole:
        step = max(1, round(step))
    return [n * step for n in range(math.ceil(most / step - 1e-9) + 1)]


def mark_text(value: float) -> str:
    """Return a mark of an axis of sizes, without digits that say nothing."""
    unit = _unit_of(value)
    return f'{value / 1024**unit:.4g} {_UNITS[unit]}' if value else '0'
