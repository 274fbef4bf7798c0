# SPDX-License-Identifier: GPL-2.0-or-later
"""The arithmetic of the benchmarks: a wrong ratio would be believed."""

from __future__ import annotations

import itertools
import os
import pathlib
import sys
import time
from collections.abc import Callable

import pytest

from benchmarks import __main__ as run
from benchmarks import measure, report, summary
from benchmarks.histories import History
from benchmarks.workspace import Workspace

ROOT = pathlib.Path(__file__).resolve().parent.parent


def scripted(*values: float) -> Callable[[], measure.Sample]:
    """Return a variant that gives these values for both metrics in turn."""
    source = itertools.cycle(values)

    def sample() -> measure.Sample:
        value = next(source)
        return {measure.CPU: value, measure.RATE: value}

    return sample


def row(**changes: object) -> measure.Row:
    variants = {'old': scripted(4, 2, 3), 'new': scripted(1, 30, 1.5)}
    goals = {('new', measure.CPU): 0.6, ('new', measure.RATE): 0.6}
    given = {
        'name': 'a row',
        'variants': variants,
        'metrics': [measure.CPU, measure.RATE],
        'goals': goals,
        **changes,
    }
    return measure.Row(**given)  # type: ignore[arg-type]


def test_ratio_is_of_medians() -> None:
    result = measure.measure(row(), rounds=3)
    assert result.cells['old'][measure.CPU].median == 3
    assert result.cells['new'][measure.CPU].median == 1.5
    assert result.ratio('new', measure.CPU) == 0.5
    assert result.ratio('old', measure.CPU) == 1


def test_variants_take_turns() -> None:
    order: list[str] = []

    def variant(name: str) -> Callable[[], measure.Sample]:
        def sample() -> measure.Sample:
            order.append(name)
            return {measure.CPU: 1.0}

        return sample

    names = ('a', 'b', 'c')
    variants = {name: variant(name) for name in names}
    measure.measure(row(variants=variants, metrics=[measure.CPU]), rounds=2)
    assert order == ['a', 'b', 'c', 'a', 'b', 'c']


def test_goal_depends_on_what_is_better() -> None:
    text = report.table([measure.measure(row(), rounds=3)])
    cpu, rate = [line for line in text.splitlines() if line.startswith('new')]
    # Half the CPU is better than 0.6 of it, half the rate is not.
    assert cpu.endswith('<= 0.6 ok')
    assert rate.endswith('>= 0.6 missed')


def test_row_may_state_its_rounds() -> None:
    result = measure.measure(row(rounds=1), rounds=3)
    assert result.cells['new'][measure.CPU].values == (1,)


def test_metric_only_some_have() -> None:
    variants = {'old': lambda: {measure.CPU: 1.0}, 'new': scripted(2)}
    result = measure.measure(row(variants=variants), rounds=1)
    assert measure.RATE not in result.cells['old']
    assert result.ratio('new', measure.RATE) is None
    assert 'new' in report.table([result])


def test_command_costs_what_its_children_cost(tmp_path: pathlib.Path) -> None:
    burn = 'import time\nwhile time.process_time() < 0.3: pass'
    child = f'import subprocess, sys; subprocess.run([sys.executable, "-c", {burn!r}])'
    sample = measure.run([sys.executable, '-c', child], os.environ, tmp_path)
    assert sample[measure.CPU] >= 0.3


def test_command_that_fails_is_no_measurement(tmp_path: pathlib.Path) -> None:
    fail = [sys.executable, '-c', 'print("why"); raise SystemExit(3)']
    with pytest.raises(measure.CommandError, match='why(.|\n)*exit 3'):
        measure.run(fail, os.environ, tmp_path)


def test_report_names_no_places() -> None:
    text = '\n'.join(report.environment())
    assert '/' not in text
    assert os.uname().nodename not in text


def test_budget_ends_a_row_after_the_least_rounds() -> None:
    def slow() -> measure.Sample:
        time.sleep(0.01)
        return {measure.CPU: 1.0}

    def rounds(least: int, budget: float) -> int:
        slow_row = row(variants={'old': slow}, metrics=[measure.CPU])
        result = measure.measure(slow_row, 9, least, budget)
        return len(result.cells['old'][measure.CPU].values)

    assert rounds(least=1, budget=0.001) == 1
    assert rounds(least=2, budget=0.005) == 2
    assert rounds(least=2, budget=0.0001) == 1
    assert rounds(least=2, budget=60) == 9


def test_variant_that_fails_loses_no_other() -> None:
    def fail() -> measure.Sample:
        raise OSError('no more of it')

    variants = {'old': scripted(2), 'broken': fail, 'new': scripted(1)}
    result = measure.measure(row(variants=variants), rounds=2)
    assert result.ratio('new', measure.CPU) == 0.5
    assert result.ratio('broken', measure.CPU) is None
    assert result.failures == {'broken': 'OSError: no more of it'}
    table = report.table([result])
    assert 'broken                    could not be measured\n' in table


def test_first_variant_that_fails_loses_no_other() -> None:
    def fail() -> measure.Sample:
        raise measure.CommandError('no')

    result = measure.measure(
        row(variants={'old': fail, 'new': scripted(1)}), rounds=1
    )
    assert result.ratio('new', measure.CPU) is None
    assert result.cells['new'][measure.CPU].median == 1
    assert report.table([result])


def test_row_that_fails_loses_no_other(tmp_path: pathlib.Path) -> None:
    def fail() -> measure.Row:
        raise KeyError('actions')

    workspace = Workspace(tmp_path)

    def littering() -> measure.Row:
        workspace.fresh().mkdir()
        return row()

    runner = run.Runner(workspace, rounds=1, least=1, budget=0)
    before = set(tmp_path.iterdir())
    runner.take([fail, littering])
    assert set(tmp_path.iterdir()) == before
    assert [result.row.name for result in runner.results] == ['a row']
    assert runner.failed == ['preparing fail']


def test_memory_of_a_command(tmp_path: pathlib.Path) -> None:
    eat = [sys.executable, '-c', 'b"x" * 300_000_000']
    sample = measure.run(eat, os.environ, tmp_path)
    # unknown if the tests themselves are larger
    assert 290 < sample.get(measure.PEAK, 300) < 1000


def size_row(name: str, ratio: float) -> measure.Result:
    variants = {'revlog': scripted(1), 'sqlite repacked': scripted(ratio)}
    given = measure.Row(name, variants, [measure.CPU])
    result = measure.measure(given, rounds=1)
    cells = {
        variant: {measure.SIZE: cells[measure.CPU]}
        for variant, cells in result.cells.items()
    }
    return measure.Result(given, cells)


def test_figures_are_of_one_history(tmp_path: pathlib.Path) -> None:
    readme = tmp_path / 'README.rst'
    readme.write_text(f'before\n{summary.BEGIN}old\n{summary.END}after\n')
    results = [
        size_row('ours: file history', 0.25),
        size_row('other: file history', 0.75),
    ]
    history = History('ours', tmp_path, tmp_path, 321, 'tip')
    summary.rewrite(readme, results, history)
    text = readme.read_text()
    assert text.startswith('before\n') and text.endswith('after\n')
    assert 'ours (321 changesets)' in ' '.join(text.split())
    assert '  0.25\n' in text
    assert '0.75' not in text and 'old' not in text
    again = readme.read_text()
    summary.rewrite(readme, results, history)
    assert readme.read_text() == again


def test_readme_has_a_place_for_figures() -> None:
    text = (ROOT / 'README.rst').read_text(encoding='utf-8')
    assert text.index(summary.BEGIN) < text.index(summary.END)
