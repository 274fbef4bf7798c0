# SPDX-License-Identifier: GPL-2.0-or-later
"""Which deltas the entries of frames become."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from mercurial import mdiff

from hgext3rd.amalgam.packs import choosing
from hgext3rd.amalgam.packs.choosing import Entry
from hgext3rd.amalgam.packs.layout import FILE, MANIFEST, NULL, Revision
from hgext3rd.amalgam.packs.linewriter import LineWriter
from hgext3rd.amalgam.packs.sizes import Sizes

FRAME = 3
OUTSIDE = b'\x77' * 20
CENSORED = 1 << 15
ALL = b''.join(b'this is line number %d\n' % n for n in range(50))


class Line:
    """A line of a pack, and the texts that an encoder can ask for."""

    def __init__(self, kind: bytes = FILE, outside: bytes = b'') -> None:
        self.texts = {OUTSIDE: outside}
        self.asked: list[bytes] = []
        self.writer = LineWriter(kind, b'', 0)
        self.sizes = Sizes(self)

    def full_text(self, kind: bytes, name: bytes, node: bytes) -> bytes:
        self.asked.append(node)
        return self.texts[node]

    def raw_size(self, kind: bytes, name: bytes, node: bytes) -> int:
        return len(self.texts[node])

    def is_base(self, kind: bytes, name: bytes, node: bytes) -> bool:
        return True

    def revision(
        self,
        text: bytes,
        p1: bytes = NULL,
        base: bytes | None = None,
        flags: int = 0,
        delta: bytes | None = None,
    ) -> Revision:
        """Return the next revision, with a delta of ``base``."""
        node = bytes([len(self.writer.nodes) + 1]) * 20
        self.texts[node] = text
        base = p1 if base is None else base
        if delta is None:
            delta = bytes(mdiff.textdiff(self.texts.get(base, b''), text))
        return Revision(node, p1, NULL, OUTSIDE, base, delta, flags)

    def add(
        self,
        choice: choosing.Choice,
        revision: Revision,
        frame: int = FRAME,
    ) -> Entry:
        """Return the entry of ``revision`` after it was added."""
        stored = self.sizes.stored(self.writer, revision)
        entry = choice.entry(self.writer, frame, stored)
        self.writer.add(stored, 0, entry.size, frame, 0)
        known = self.texts[
            self.writer.nodes[entry.base]
            if isinstance(entry.base, int)
            else entry.base or OUTSIDE
        ]
        made = entry.data
        if entry.base is not None:
            made = mdiff.patches(known, [made]) if made else known
        assert made == self.texts[revision.node]
        assert entry.size == len(self.texts[revision.node])
        return entry


def tightest(line: Line) -> choosing.Choice:
    return choosing.Tightest(line, line.sizes)


def taken_over(line: Line) -> choosing.Choice:
    return choosing.TakenOver(line, line.sizes)


Make = Callable[[Line], choosing.Choice]


@pytest.fixture(params=[taken_over, tightest])
def either(request: pytest.FixtureRequest) -> Make:
    found: Make = request.param
    return found


def test_delta_in_the_frame_needs_no_text(
    either: Make,
) -> None:
    line = Line()
    choice = either(line)
    parent = line.revision(ALL)
    assert line.add(choice, parent) == Entry(ALL, None, len(ALL))
    entry = line.add(choice, line.revision(ALL + b'end\n', parent.node))
    assert entry.base == 0
    assert len(entry.data) < 20
    assert not line.asked


def test_base_in_another_frame(either: Make) -> None:
    """The parent or the revision before it in the same frame is as good."""
    line = Line()
    choice = either(line)
    first = line.revision(ALL)
    line.add(choice, first, FRAME - 1)
    second = line.revision(ALL + b'two\n', first.node)
    assert line.add(choice, second).base is None
    third = line.revision(ALL + b'three\n', first.node)
    entry = line.add(choice, third)
    assert entry.base == 1
    assert len(entry.data) < 40


@pytest.mark.parametrize('where', [NULL, OUTSIDE, b'\1' * 20])
def test_delta_that_replaces_everything_is_a_text(
    either: Make, where: bytes
) -> None:
    """So receivers need no base, which may be censored there."""
    line = Line(outside=b'before\n')
    choice = either(line)
    line.add(choice, line.revision(b'first\n'))
    size = len(line.texts.get(where, b''))
    tombstone = b'\1\ncensored: x\1\n'
    delta = mdiff.replacediffheader(size, len(tombstone)) + tombstone
    revision = line.revision(
        tombstone, where, flags=CENSORED, delta=bytes(delta)
    )
    assert line.add(choice, revision) == Entry(tombstone, None, len(tombstone))


def test_empty_text(either: Make) -> None:
    line = Line()
    assert line.add(either(line), line.revision(b'')) == Entry(b'', None, 0)


def test_outside_base_is_kept_if_nothing_better_is_inside(
    either: Make,
) -> None:
    line = Line(outside=ALL)
    choice = either(line)
    entry = line.add(choice, line.revision(ALL + b'more\n', OUTSIDE))
    assert entry.base == OUTSIDE


def test_smallest_delta_is_chosen() -> None:
    """Alternating branches: the base that came is not the nearest."""
    line = Line()
    choice = tightest(line)
    one = line.revision(ALL)
    line.add(choice, one)
    other = line.revision(ALL[::-1], one.node)
    line.add(choice, other)
    again = line.revision(ALL + b'more\n', one.node, other.node)
    entry = line.add(choice, again)
    assert entry.base == 0
    assert len(entry.data) == 12 + len(b'more\n')


def test_only_changed_bytes_of_files_are_replaced() -> None:
    line = Line()
    choice = tightest(line)
    parent = line.revision(ALL)
    line.add(choice, parent)
    child = line.revision(
        ALL.replace(b'number 7\n', b'number x\n'), parent.node
    )
    assert len(line.add(choice, child).data) == 12 + 1


def test_manifests_keep_whole_lines() -> None:
    line = Line(MANIFEST)
    choice = tightest(line)
    parent = line.revision(ALL)
    line.add(choice, parent)
    child = line.revision(
        ALL.replace(b'number 7\n', b'number x\n'), parent.node
    )
    assert line.add(choice, child).data == child.delta


def test_inside_is_preferred_to_outside() -> None:
    """Receivers must read outside revisions and store full texts."""
    line = Line(outside=ALL)
    choice = tightest(line)
    line.add(choice, line.revision(ALL + b'first change\n', OUTSIDE))
    near = line.revision(ALL + b'second change\n', OUTSIDE)
    assert line.add(choice, near).base == 0
    line.writer.sizes[0] = choosing.COMPARED + 1
    line.writer.sizes[1] = choosing.COMPARED + 1
    assert (
        line.add(choice, line.revision(ALL + b'x\n', OUTSIDE)).base == OUTSIDE
    )


def test_no_delta_of_a_censored_revision_is_made() -> None:
    """A receiver may still have what the text was before."""
    line = Line()
    choice = tightest(line)
    tombstone = b'\1\ncensored: \1\n' + b'long reason' * 10
    line.add(choice, line.revision(tombstone, flags=CENSORED))
    entry = line.add(choice, line.revision(tombstone + b'x'))
    assert entry.base is None


def test_large_texts_are_not_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(choosing, 'COMPARED', len(ALL))
    line = Line()
    choice = tightest(line)
    parent = line.revision(ALL + b'1\n')
    line.add(choice, parent)
    child = line.revision(ALL + b'1\nand 2\n', parent.node)
    assert line.add(choice, child).data == child.delta
    assert not line.asked
