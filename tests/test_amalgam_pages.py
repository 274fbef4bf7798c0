# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of hgweb's pages: numbers, charts, markup, links and surveys."""

from __future__ import annotations

import json
import pathlib
import threading
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

import pytest
from conftest import wait_for
from hypothesis import given
from hypothesis import strategies as st
from mercurial import ui as uimod

from hgext3rd.amalgam import compat, lru
from hgext3rd.amalgam.pages import (
    blocks,
    charts,
    markup,
    navigation,
    plain,
    rendering,
    surveys,
    units,
)

SVG = '{http://www.w3.org/2000/svg}'
ODD = '<a href="x">&\'\0\x1b\n\ud800\N{SNOWMAN}'


# numbers


@pytest.mark.parametrize(
    ('size', 'text'),
    [
        (0, '0 B'),
        (999, '999 B'),
        (1000, '0.98 KB'),
        (1536, '1.50 KB'),
        (10 << 20, '10.0 MB'),
        (350 << 30, '350 GB'),
        (5 << 60, '5120 PB'),
    ],
)
def test_a_size_has_a_unit_and_three_digits(size: int, text: str) -> None:
    assert units.size_text(size) == text


def test_counts_and_shares() -> None:
    assert units.count_text(1234567) == '1,234,567'
    assert units.share_text(1, 8) == '12.5%'
    assert units.share_text(1, 0) == ''


@given(st.integers(0, 10**18), st.booleans())
def test_marks_of_an_axis_cover_all_values(most: int, sizes: bool) -> None:
    marks = units.size_marks(most) if sizes else units.count_marks(most)
    assert marks[0] == 0
    assert marks[-1] >= most * 0.999999
    assert 2 <= len(marks) <= 7
    steps = {round(b - a, 6) for a, b in zip(marks, marks[1:], strict=False)}
    assert max(steps) <= min(steps) * 1.001
    show = units.mark_text if sizes else units.count_text
    assert len({show(mark) for mark in marks}) == len(marks)


# charts


PARTS = [charts.Part(f'20{n:02}-01{ODD}', n * 1000.0, ODD) for n in range(40)]


@pytest.mark.parametrize('count', [1, 2, 11, 40])
@pytest.mark.parametrize(
    'chart',
    [
        lambda parts: charts.area(parts, ODD, ODD),
        lambda parts: charts.columns(parts, ODD, ODD),
        lambda parts: charts.whole(parts, ODD),
    ],
    ids=['area', 'columns', 'whole'],
)
def test_a_chart_is_well_formed_and_has_no_scripts_or_styles(
    chart: Any, count: int
) -> None:
    svg = chart(PARTS[:count])
    root = ET.fromstring(svg)
    assert root.tag == f'{SVG}svg'
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags <= {'svg', 'g', 'rect', 'path', 'line', 'text', 'title'}
    for element in root.iter():
        assert not {'style', 'onclick', 'href'} & set(element.attrib)
        for name in ('width', 'height'):
            assert float(element.attrib.get(name, 0)) >= 0


def test_columns_are_as_high_as_their_counts() -> None:
    parts = [charts.Part(name, int(name), name) for name in ('1', '50', '100')]
    root = ET.fromstring(charts.columns(parts, 'x', 'y'))
    low, middle, high = (
        float(box.attrib['height']) for box in root.iter(f'{SVG}rect')
    )
    assert high == pytest.approx(2 * middle, rel=0.01)
    assert 0 < low < middle


def test_parts_of_a_whole_take_their_share() -> None:
    parts = [charts.Part('a', 1, '1'), charts.Part('b', 2, '2')]
    root = ET.fromstring(charts.whole(parts, 'x', 6))
    widths = [float(box.attrib['width']) for box in root.iter(f'{SVG}rect')]
    assert widths[1] == pytest.approx(widths[0] / 6, rel=0.01)
    # More than everything does not leave the picture.
    root = ET.fromstring(charts.whole(parts, 'x', 2))
    boxes = list(root.iter(f'{SVG}rect'))
    bars = [box for box in boxes[1:] if box.attrib['y'] == '0.0']
    assert sum(float(bar.attrib['width']) for bar in bars) == float(
        boxes[0].attrib['width']
    )


# markup


def every_block(text: str) -> list[blocks.Section]:
    button = blocks.Button(text, ((text, text),))
    row = text, blocks.Link(text, text), blocks.Bar(text, 2.5), button
    columns = tuple(blocks.Column(text, bool(n), bool(n)) for n in range(4))
    return [
        blocks.Section(
            text,
            (
                blocks.Facts((blocks.Fact(text, text, text),)),
                blocks.Table(text, columns, (row,), text, True),
                blocks.Table(text, columns, (row,)),
                blocks.Chart(text, charts.whole(PARTS[1:3], text), text),
                blocks.Note(text),
                blocks.Note(text, True),
            ),
        )
    ]


@given(st.text())
def test_no_text_becomes_markup(text: str) -> None:
    content = markup.page(every_block(text + ODD))
    assert content.isascii()
    root = ET.fromstring(content)
    usual = ET.fromstring(markup.page(every_block('x')))
    assert [e.tag for e in root.iter()] == [e.tag for e in usual.iter()]


def test_plain_text_has_a_line_for_each_row() -> None:
    lines = plain.page(every_block(ODD)).decode('utf-8').splitlines()
    usual = plain.page(every_block('x')).decode('utf-8').splitlines()
    assert len(lines) == len(usual)
    assert [line.count('\t') for line in lines] == (
        [line.count('\t') for line in usual]
    )


def test_documents_are_valid_json() -> None:
    document = {
        'name': b'\xff<',
        'text': surveys.text_of(b'\xff<'),
        'list': [1, 1.5, None, True, {'a': ()}],
    }
    assert json.loads(rendering.json(document)) == {
        'name': '\udcff<',
        'text': '\udcff<',
        'list': [1, 1.5, None, True, {'a': []}],
    }


# links


HELP = b'<a href="{url|urlescape}help{sessionvars%urlparameter}">help</a>'


@pytest.mark.parametrize(
    ('before', 'link', 'after'),
    [
        (b'<ul>\n<li>', b'<li><a ', b'</li>'),
        (b'<ul>\n<li class="active">', b'<li><a ', b'</li>'),
        (b'<a href="x">files</a> |\n', b'</a> | ', b''),
        (b'<a href="x">files</a>\n', b'</a>\n', b''),
    ],
)
def test_links_are_put_before_the_help(
    before: bytes, link: bytes, after: bytes
) -> None:
    text = before + HELP + after
    changed = navigation.with_links(text)
    assert link in changed.removeprefix(before.rpartition(b'<li')[0])
    assert changed.endswith(HELP + after)
    # Several extensions may do it.
    assert navigation.with_links(changed) == changed


@pytest.mark.parametrize('text', [b'', b'help', HELP.replace(b'sess', b'x')])
def test_other_templates_stay_as_they_are(text: bytes) -> None:
    assert navigation.with_links(text) == text


# surveys


@pytest.fixture
def repo(tmp_path: pathlib.Path) -> Any:
    ui = uimod.ui.load()
    return compat.open_repository(ui, bytes(tmp_path / 'repo'), create=True)


class Measure:
    """Counts its calls, and ends when it may."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.may_end = threading.Event()
        self.may_end.set()

    def __call__(self, repo: Any) -> Mapping[str, Any]:
        assert self.may_end.wait(600)
        self.calls.append(repo)
        return {'calls': len(self.calls)}


def test_a_survey_is_kept_until_its_key_changes(repo: Any) -> None:
    measure = Measure()
    for key in ('a', 'a', 'b', 'b'):
        found = surveys.find(
            repo, surveys.Task('x', key, 'all', False, measure)
        )
        assert found is not None and found.key == key
    assert measure.calls == [repo, repo]


def test_other_processes_use_a_survey(
    repo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = Measure()
    task = surveys.Task('x', 'a', 'all', False, measure)
    surveys.find(repo, task)
    monkeypatch.setattr(surveys, '_kept', lru.LRU(100))
    found = surveys.find(repo, task)
    assert found is not None and found.data == {'calls': 1}
    assert len(measure.calls) == 1


@pytest.mark.parametrize(
    'damage', [b'', b'{', b'[]', b'{"version": 0}', b'\xff']
)
def test_a_damaged_file_is_as_none(
    repo: Any, monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    measure = Measure()
    task = surveys.Task('x', 'a', 'all', False, measure)
    surveys.find(repo, task)
    monkeypatch.setattr(surveys, '_kept', lru.LRU(100))
    repo.cachevfs.write(b'amalgam-x.json', damage)
    assert surveys.peek(repo, 'x') is None
    found = surveys.find(repo, task)
    assert found is not None and found.data == {'calls': 2}


def test_readers_do_not_wait_for_a_long_survey(repo: Any) -> None:
    measure = Measure()
    measure.may_end.clear()
    task = surveys.Task('x', 'a', 'all', True, measure)
    assert surveys.find(repo, task) is None
    # It is not begun twice.
    assert surveys.find(repo, task) is None
    measure.may_end.set()
    wait_for(lambda: surveys.find(repo, task) is not None, 'survey')
    assert len(measure.calls) == 1
    # The thread has a repository of its own.
    assert measure.calls[0] is not repo
    # A state that follows soon is not measured at once.
    old = surveys.find(repo, surveys.Task('x', 'b', 'all', True, measure))
    assert old is not None and old.key == 'a'


def test_a_failed_survey_is_begun_again(repo: Any) -> None:
    calls = []

    def fail(repo: Any) -> Mapping[str, Any]:
        calls.append(repo)
        raise OSError('disk')

    task = surveys.Task('x', 'a', 'all', True, fail)

    def failed_twice() -> bool:
        assert surveys.find(repo, task) is None
        return len(calls) > 1

    wait_for(failed_twice, 'second survey')


@pytest.mark.parametrize('long', [True, False])
def test_a_survey_for_other_readers_is_not_shown(repo: Any, long: bool) -> None:
    measure = Measure()
    found = surveys.find(repo, surveys.Task('x', 'a', 'all', False, measure))
    assert found is not None
    task = surveys.Task('x', 'a', 'less', long, measure)
    shown = surveys.find(repo, task)
    assert shown is None or shown.view == 'less'
    wait_for(lambda: surveys.find(repo, task) is not None, 'survey')
    assert len(measure.calls) == 2
