# SPDX-License-Identifier: GPL-2.0-or-later
"""Charts as SVG elements, without scripts and without styles.

Pure: takes numbers and texts, gives markup. Colours are attributes, because a
policy of the server for its pages may forbid styles.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from . import units

#: Colours of parts, in their order: distinct also for colour-blind people.
COLOURS = (
    '#2a6f97',
    '#e09f3e',
    '#588157',
    '#9b5de5',
    '#bc4749',
    '#6c757d',
)

_INK = '#444444'
_GRID = '#d9dde1'
_FONT = 'font-family="sans-serif" font-size="12"'

# Width of all charts, in units that are pixels where there is room.
_WIDTH = 640
_LEFT, _RIGHT, _TOP, _BOTTOM = 68, 14, 12, 44

# The width of a character on average, to leave out labels that would overlap.
_CHARACTER = 7

# Characters that markup must not contain, or that nobody can see.
_CONTROLS = re.compile('[\0-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]')


@dataclass(frozen=True, slots=True)
class Part:
    """A named value of a chart; ``shown`` is the value as text."""

    name: str
    value: float
    shown: str


def escaped(text: str) -> str:
    """Return text for markup, also for attributes in double quotes."""
    return html.escape(_CONTROLS.sub('\ufffd', text))


def _svg(height: float, label: str, content: Sequence[str]) -> str:
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" '
        f'viewBox="0 0 {_WIDTH} {height:g}" width="{_WIDTH}" '
        f'height="{height:g}" aria-label="{escaped(label)}" {_FONT} '
        f'fill="{_INK}">' + ''.join(content) + '</svg>'
    )


def _text(x: float, y: float, text: str, anchor: str = 'start') -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f'{escaped(text)}</text>'
    )


def _box(
    x: float, y: float, width: float, height: float, colour: str, hint: str
) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
        f'height="{height:.1f}" fill="{colour}">'
        f'<title>{escaped(hint)}</title></rect>'
    )


def _rows(
    marks: Sequence[float], show: units.Show, bottom: float, scale: float
) -> list[str]:
    """Return the lines and labels of the vertical axis."""
    found = []
    for mark in marks:
        y = bottom - mark * scale
        found.append(
            f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" '
            f'y2="{y:.1f}" stroke="{_GRID}"/>'
        )
        found.append(_text(_LEFT - 6, y + 4, show(mark), 'end'))
    return found


def _axis_names(x: str, y: str, height: float) -> list[str]:
    """Return the names of both axes."""
    middle = (height - _BOTTOM + _TOP) / 2
    return [
        _text((_LEFT + _WIDTH - _RIGHT) / 2, height - 4, x, 'middle'),
        f'<text transform="translate(11 {middle:g}) rotate(-90)" '
        f'text-anchor="middle">{escaped(y)}</text>',
    ]


def area(
    points: Sequence[Part], x_name: str, y_name: str, height: int = 250
) -> str:
    """Return a chart of how sizes grew; names of points begin with the year.

    ``points`` are at equal distances; their values are in bytes.
    """
    marks = units.size_marks(max(point.value for point in points))
    bottom = height - _BOTTOM
    scale = (bottom - _TOP) / marks[-1]
    width = (_WIDTH - _LEFT - _RIGHT) / max(len(points), 1)
    # Each point is the end of its time, so a single one has an area as well.
    outline = f'M{_LEFT} {bottom}'
    boxes = []
    for n, point in enumerate(points):
        x, y = _LEFT + n * width, bottom - point.value * scale
        outline += f'L{x:.1f} {y:.1f}h{width:.1f}'
        boxes.append(
            f'<rect x="{x:.1f}" y="{_TOP}" width="{width:.1f}" '
            f'height="{bottom - _TOP}" fill="{_INK}" fill-opacity="0">'
            f'<title>{escaped(point.name)}: {escaped(point.shown)}</title>'
            '</rect>'
        )
    outline += f'V{bottom}Z'
    colour = COLOURS[0]
    return _svg(
        height,
        f'{y_name} by {x_name}',
        [
            *_rows(marks, units.mark_text, bottom, scale),
            f'<path d="{outline}" fill="{colour}" fill-opacity="0.3" '
            f'stroke="{colour}" stroke-width="1.5"/>',
            *boxes,
            *_times([point.name for point in points], width, bottom),
            *_axis_names(x_name, y_name, height),
        ],
    )


def _times(names: Sequence[str], width: float, bottom: float) -> list[str]:
    """Return labels of a horizontal axis: years, or months if there are few."""
    years = [
        n
        for n, name in enumerate(names)
        if not n or name[:4] != names[n - 1][:4]
    ]
    if len(names) <= 10:
        return [
            _text(_LEFT + (n + 0.5) * width, bottom + 16, name, 'middle')
            for n, name in enumerate(names)
        ]
    found = []
    free = 0.0
    for n in years:
        x = _LEFT + n * width
        found.append(
            f'<line x1="{x:.1f}" y1="{bottom}" x2="{x:.1f}" '
            f'y2="{bottom + 4}" stroke="{_INK}"/>'
        )
        if x >= free and x < _WIDTH - 4 * _CHARACTER:
            found.append(_text(x, bottom + 16, names[n][:4]))
            free = x + 5.5 * _CHARACTER
    return found


def columns(
    parts: Sequence[Part], x_name: str, y_name: str, height: int = 210
) -> str:
    """Return a chart with a column for each part; values are counts."""
    marks = units.count_marks(max(part.value for part in parts))
    bottom = height - _BOTTOM
    scale = (bottom - _TOP) / marks[-1]
    step = min((_WIDTH - _LEFT - _RIGHT) / len(parts), 90)
    content = _rows(marks, units.count_text, bottom, scale)
    for n, part in enumerate(parts):
        x, size = _LEFT + n * step, part.value * scale
        hint = f'{part.name}: {part.shown}'
        # A column of a few among many is still to be seen.
        size = max(size, 1.5) if part.value else 0
        content.append(
            _box(
                x + step * 0.1,
                bottom - size,
                step * 0.8,
                size,
                COLOURS[0],
                hint,
            )
        )
        content.append(_text(x + step / 2, bottom + 16, part.name, 'middle'))
    content += _axis_names(x_name, y_name, height)
    return _svg(height, f'{y_name} by {x_name}', content)


def whole(parts: Sequence[Part], name: str, total: float | None = None) -> str:
    """Return a single bar that is divided into parts, and their legend.

    ``total`` is the value of the whole bar, if not all of it is taken.
    """
    total = total or sum(part.value for part in parts) or 1
    content = [
        f'<rect x="0" y="0" width="{_WIDTH}" height="30" fill="{_GRID}"/>'
    ]
    x = 0.0
    across = _WIDTH // 2
    for n, part in enumerate(parts):
        colour = COLOURS[n % len(COLOURS)]
        width = min(_WIDTH * part.value / total, _WIDTH - x)
        hint = f'{part.name}: {part.shown}'
        content.append(_box(x, 0, width, 30, colour, hint))
        x += width
        left, top = n % 2 * across, 42 + n // 2 * 22
        content.append(_box(left, top, 12, 12, colour, hint))
        content.append(_text(left + 18, top + 10.5, hint))
    return _svg(42 + (len(parts) + 1) // 2 * 22, name, content)
