#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Draw the state tables of wire protocol version 2 as an SVG file.

usage: draw_states.py [FILE]

Writes docs/wireprotov2-states.svg unless FILE is given. States and transitions
come from ``hgext3rd.wireprotov2.proto.states``; this script decides only where
boxes and texts are.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Mapping
from xml.sax.saxutils import escape

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from hgext3rd.wireprotov2.proto import states  # noqa: E402
from hgext3rd.wireprotov2.proto.states import (  # noqa: E402
    Opening,
    Role,
    State,
)

DEFAULT = ROOT / 'docs' / 'wireprotov2-states.svg'

WIDTH, HEIGHT = 1200, 560
# The size of a box, and the height of a line of text.
BOX_WIDTH, BOX_HEIGHT = 120, 40
LINE = 15

Place = tuple[int, int]

# Where the centres of the boxes are. A state without a place is an error.
OPENING_PLACES: dict[object, Place] = {
    Opening.INITIAL: (90, 120),
    Opening.SETTINGS: (460, 70),
    Opening.COMMANDS: (830, 120),
}
COMMAND_PLACES: dict[object, Place] = {
    State.IDLE: (80, 370),
    State.REQUESTING: (350, 370),
    State.SENDING_DATA: (485, 490),
    State.REQUESTED: (630, 370),
    State.ANSWERING: (850, 270),
    State.REDIRECTED: (850, 490),
}
# An answered command is idle again.  The box of IDLE is drawn again for it.
END: Place = (1110, 370)

# Where the text of a transition is, and how it is aligned.
Label = tuple[int, int, str]
OPENING_LABELS: dict[tuple[object, object], Label] = {
    (Opening.INITIAL, Opening.SETTINGS): (270, 80, 'end'),
    (Opening.SETTINGS, Opening.COMMANDS): (655, 80, 'start'),
    (Opening.INITIAL, Opening.COMMANDS): (460, 136, 'middle'),
    (Opening.SETTINGS, Opening.SETTINGS): (460, 40, 'middle'),
    (Opening.COMMANDS, Opening.COMMANDS): (830, 158, 'middle'),
}
COMMAND_LABELS: dict[tuple[object, object], Label] = {
    (State.IDLE, State.REQUESTING): (215, 360, 'middle'),
    (State.REQUESTING, State.REQUESTING): (350, 340, 'middle'),
    (State.REQUESTING, State.REQUESTED): (490, 360, 'middle'),
    (State.REQUESTING, State.SENDING_DATA): (405, 435, 'end'),
    (State.SENDING_DATA, State.SENDING_DATA): (485, 528, 'middle'),
    (State.SENDING_DATA, State.REQUESTED): (568, 442, 'start'),
    (State.REQUESTED, State.REQUESTED): (620, 340, 'middle'),
    (State.REQUESTED, State.ANSWERING): (738, 312, 'end'),
    (State.REQUESTED, State.REDIRECTED): (750, 422, 'start'),
    (State.REQUESTED, State.IDLE): (870, 346, 'middle'),
    (State.ANSWERING, State.ANSWERING): (850, 225, 'middle'),
    (State.ANSWERING, State.IDLE): (1000, 296, 'start'),
    (State.REDIRECTED, State.REDIRECTED): (850, 528, 'middle'),
    (State.REDIRECTED, State.IDLE): (1000, 448, 'start'),
}

#: The events of each pair of states, with the end that sends them.
Transitions = dict[tuple[object, object], list[tuple[str, Role]]]

STYLE = """
  text { font: 13px sans-serif; fill: #222; }
  .title { font-weight: bold; font-size: 15px; }
  .state { font-weight: bold; }
  rect { fill: #f4f6f8; stroke: #56606a; stroke-width: 1.5; }
  path { fill: none; stroke: #8a949e; stroke-width: 1.5; }
  .client { fill: #1a5fb4; }
  .server { fill: #a51d2d; }
"""


def main() -> None:
    """Write the drawing to the file that the user names, or to DEFAULT."""
    target = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    target.write_text(drawing())


def drawing() -> str:
    """Return the SVG document."""
    opening: Transitions = {}
    for (before, what), after in states.OPENING.items():
        opening.setdefault((before, after), []).append(
            (what.value, Role.CLIENT)
        )
    commands: Transitions = {}
    for (state, event), following in states.COMMAND.items():
        commands.setdefault((state, following), []).append(
            (event.value, states.sender(event))
        )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
        f'height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">',
        '<title>States of wire protocol version 2</title>',
        f'<style>{STYLE}</style>',
        '<defs><marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" '
        'markerWidth="8" markerHeight="8" orient="auto-start-reverse">'
        '<polygon points="0,0 10,5 0,10" fill="#8a949e"/></marker></defs>',
        '<rect x="0" y="0" width="100%" height="100%" '
        'style="fill: #fff; stroke: none"/>',
        _text(20, 28, 'Opening of an exchange', 'start', 'title'),
        _text(20, 225, 'Each command', 'start', 'title'),
        _text(1180, 28, 'sent by the client', 'end', 'client'),
        _text(1180, 46, 'sent by the server', 'end', 'server'),
        *_machine(OPENING_PLACES, OPENING_LABELS, opening),
        *_machine(COMMAND_PLACES, COMMAND_LABELS, commands),
        '</svg>',
    ]
    return '\n'.join(parts) + '\n'


def _machine(
    places: Mapping[object, Place],
    labels: Mapping[tuple[object, object], Label],
    transitions: Transitions,
) -> list[str]:
    """Return the elements of one table: lines, then boxes, then texts."""
    lines, texts = [], []
    for (before, after), events in transitions.items():
        x, y, anchor = labels[before, after]
        if before != after:
            end = END if after is State.IDLE else places[after]
            lines.append(_arrow(places[before], end))
        mark = '\u21bb ' if before == after else ''
        for number, (text, role) in enumerate(events):
            texts.append(
                _text(x, y + LINE * number, mark + text, anchor, role.value)
            )
    boxes = []
    for state, place in places.items():
        boxes += _box(place, state)
        if state is State.IDLE:
            boxes += _box(END, state)
    return lines + boxes + texts


def _box(centre: Place, state: object) -> list[str]:
    x, y = centre
    name = str(getattr(state, 'value', state))
    return [
        f'<rect x="{x - BOX_WIDTH // 2}" y="{y - BOX_HEIGHT // 2}" '
        f'width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8"/>',
        _text(x, y + 5, name, 'middle', 'state'),
    ]


def _arrow(before: Place, after: Place) -> str:
    (x1, y1), (x2, y2) = _edge(before, after), _edge(after, before)
    path = f'M{x1},{y1} L{x2},{y2}'
    return f'<path d="{path}" marker-end="url(#arrow)"/>'


def _edge(centre: Place, towards: Place) -> Place:
    """Return where a line from ``centre`` leaves its box."""
    dx, dy = towards[0] - centre[0], towards[1] - centre[1]
    scale = min(
        BOX_WIDTH / 2 / abs(dx) if dx else 1e9,
        BOX_HEIGHT / 2 / abs(dy) if dy else 1e9,
    )
    return round(centre[0] + dx * scale), round(centre[1] + dy * scale)


def _text(x: int, y: int, text: str, anchor: str, kind: str) -> str:
    return (
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" class="{kind}">'
        f'{escape(text)}</text>'
    )


if __name__ == '__main__':
    main()
