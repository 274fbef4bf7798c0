# SPDX-License-Identifier: GPL-2.0-or-later
"""The benchmarks: their arithmetic, time limits and interruptions."""

from __future__ import annotations

import dataclasses
import itertools
import os
import pathlib
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

import conftest
import pytest

from benchmarks import (
    __main__,
    admission,
    generate,
    histories,
    measure,
    network,
    path,
    processes,
    report,
    rows_scale,
    rows_storage,
    runner,
    scale,
    summary,
)
from benchmarks.histories import History
from benchmarks.workspace import Workspace

ROOT = pathlib.Path(__file__).resolve().parent.parent


def scripted(*values: float) -> Callable[[], measure.Sample]:
    """Return a variant that gives these values in turn, for two metrics."""
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


def make_runner(
    workspace: Workspace,
    seconds: float | None = None,
    record: pathlib.Path | None = None,
) -> runner.Runner:
    effort = runner.Effort(rounds=1, least=1, budget=0, seconds=seconds)
    return runner.Runner(workspace, effort, runner.Output(record))


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


def test_goal_depends_on_the_direction_of_the_metric() -> None:
    text = report.table([measure.measure(row(), rounds=3)])
    cpu, rate = [line for line in text.splitlines() if line.startswith('new')]
    # Half the CPU time reaches the goal of 0.6; half the rate does not.
    assert cpu.endswith('<= 0.6 ok')
    assert rate.endswith('>= 0.6 missed')


def test_row_may_state_its_rounds() -> None:
    result = measure.measure(row(rounds=1), rounds=3)
    assert result.cells['new'][measure.CPU].values == (1,)


def test_metric_that_only_some_variants_have() -> None:
    variants = {'old': lambda: {measure.CPU: 1.0}, 'new': scripted(2)}
    result = measure.measure(row(variants=variants), rounds=1)
    assert measure.RATE not in result.cells['old']
    assert result.ratio('new', measure.RATE) is None
    assert 'new' in report.table([result])


def test_command_costs_what_its_children_cost(tmp_path: pathlib.Path) -> None:
    burn = 'import time\nwhile time.process_time() < 0.3: pass'
    child = (
        'import subprocess, sys\n'
        f'subprocess.run([sys.executable, "-c", {burn!r}])'
    )
    cost = processes.run([sys.executable, '-c', child], os.environ, tmp_path)
    assert cost.cpu >= 0.3


def test_failing_command_raises_its_output(tmp_path: pathlib.Path) -> None:
    fail = [sys.executable, '-c', 'print("why"); raise SystemExit(3)']
    with pytest.raises(processes.CommandError, match='why(.|\n)*exit 3'):
        processes.run(fail, os.environ, tmp_path)


def test_report_has_no_paths_and_no_host_name() -> None:
    text = '\n'.join(report.environment())
    assert '/' not in text
    assert os.uname().nodename not in text


class Clock:
    """Stands in for ``time.monotonic``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(time, 'monotonic', lambda: self.now)


def test_budget_ends_a_row_after_the_least_rounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)

    def slow() -> measure.Sample:
        clock.now += 0.01
        return {measure.CPU: 1.0}

    def rounds(least: int, budget: float) -> int:
        slow_row = row(variants={'old': slow}, metrics=[measure.CPU])
        result = measure.measure(slow_row, 9, least, budget)
        return len(result.cells['old'][measure.CPU].values)

    assert rounds(least=1, budget=0.001) == 1
    assert rounds(least=2, budget=0.005) == 2
    assert rounds(least=2, budget=0.0001) == 1
    assert rounds(least=2, budget=60) == 9


def test_other_variants_are_measured_after_a_failure() -> None:
    def fail() -> measure.Sample:
        raise OSError('no more of it')

    variants = {'old': scripted(2), 'broken': fail, 'new': scripted(1)}
    result = measure.measure(row(variants=variants), rounds=2)
    assert result.ratio('new', measure.CPU) == 0.5
    assert result.ratio('broken', measure.CPU) is None
    assert result.failures == {'broken': 'OSError: no more of it'}
    table = report.table([result])
    assert 'broken                    could not be measured\n' in table


def test_other_variants_are_measured_after_the_first_fails() -> None:
    def fail() -> measure.Sample:
        raise processes.CommandError('no')

    result = measure.measure(
        row(variants={'old': fail, 'new': scripted(1)}), rounds=1
    )
    assert result.ratio('new', measure.CPU) is None
    assert result.cells['new'][measure.CPU].median == 1
    assert report.table([result])


def test_other_rows_are_measured_after_a_failure(
    tmp_path: pathlib.Path,
) -> None:
    def fail() -> measure.Row:
        raise KeyError('actions')

    workspace = Workspace(tmp_path)

    def littering() -> measure.Row:
        workspace.fresh().mkdir()
        return row()

    measuring = make_runner(workspace)
    before = set(tmp_path.iterdir())
    measuring.take([fail, littering])
    assert set(tmp_path.iterdir()) == before
    assert [result.row.name for result in measuring.results] == ['a row']
    assert measuring.failed == ['preparing fail']


def test_memory_of_a_command(tmp_path: pathlib.Path) -> None:
    eat = [sys.executable, '-c', 'b"x" * 300_000_000']
    cost = processes.run(eat, os.environ, tmp_path)
    # It is unknown if the tests themselves are larger.
    assert 290 < (cost.peak or 300) < 1000


def size_row(name: str, ratio: float) -> measure.Result:
    variants = {'revlog': scripted(1), 'sqlite repacked': scripted(ratio)}
    given = measure.Row(name, variants, [measure.CPU])
    result = measure.measure(given, rounds=1)
    cells = {
        variant: {measure.SIZE: cells[measure.CPU]}
        for variant, cells in result.cells.items()
    }
    return measure.Result(given, cells)


def test_readme_shows_figures_of_one_history(tmp_path: pathlib.Path) -> None:
    readme = tmp_path / 'README.rst'
    name = summary.FIGURES
    block = f'.. {name} begin\nold\n.. {name} end\n'
    readme.write_text(f'before\n{block}after\n')
    results = [
        size_row('ours: store', 0.25),
        size_row('other: store', 0.75),
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


@pytest.mark.parametrize('load, busy', [(0.1, False), (1000.0, True)])
def test_readme_says_that_the_machine_was_busy(
    monkeypatch: pytest.MonkeyPatch, load: float, busy: bool
) -> None:
    monkeypatch.setattr(os, 'getloadavg', lambda: (0.0, 0.0, load))
    text = ' '.join(summary.figures([], None).split())
    assert ('The machine was busy' in text) is busy


@pytest.mark.parametrize(
    ('document', 'name'),
    [
        ('README.rst', summary.FIGURES),
        ('docs/benchmarks.rst', summary.PLOTS),
        ('docs/benchmarks.rst', scale.CURVES),
    ],
)
def test_documents_have_a_place_for_results(document: str, name: str) -> None:
    text = (ROOT / document).read_text(encoding='utf-8')
    assert text.index(f'.. {name} begin\n') < text.index(f'.. {name} end\n')


def test_a_document_shows_the_plots_that_were_drawn(
    tmp_path: pathlib.Path,
) -> None:
    document = tmp_path / 'benchmarks.rst'
    name = summary.PLOTS
    block = f'.. {name} begin\nold.png\n.. {name} end\n'
    document.write_text(f'before\n{block}after\n')
    plots = {'a.png': 'of a', 'b.png': 'of b'}
    summary.replace_block(document, name, summary.images('folder', plots))
    text = document.read_text()
    assert '.. image:: folder/a.png\n   :alt: of a\n' in text
    assert '.. image:: folder/b.png\n   :alt: of b\n' in text
    assert 'old.png' not in text
    assert text.endswith('after\n')
    with pytest.raises(ValueError, match='no place'):
        summary.replace_block(document, 'another', '')


# -- time limits


def test_time_limit_ends_a_command_and_its_children(
    tmp_path: pathlib.Path,
) -> None:
    pid = tmp_path / 'pid'
    nested = f'echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 3600'

    def time_is_up() -> None:
        conftest.wait_for(pid.exists, 'the grandchild')
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGALRM)

    thread = threading.Thread(target=time_is_up)
    with pytest.raises(processes.OutOfTime), processes.time_limit(3600):
        thread.start()
        command = ['sh', '-c', f"sh -c '{nested}'; true"]
        processes.run(command, os.environ, tmp_path)
    thread.join()

    def gone() -> bool:
        try:
            os.kill(int(pid.read_text()), 0)
        except ProcessLookupError:
            return True
        return False

    # The grandchild was killed, and disappears a little later.
    conftest.wait_for(gone, 'the end of the grandchild')


def test_time_limit_interrupts_what_waits() -> None:
    with pytest.raises(processes.OutOfTime), processes.time_limit(0.01):
        time.sleep(3600)


def test_time_limit_leaves_no_timer() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with processes.time_limit(60):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) is before


def too_slow(*_ignored: object) -> measure.Sample:
    signal.raise_signal(signal.SIGALRM)
    raise AssertionError('it was not interrupted')


def test_row_out_of_time_keeps_the_variants_before(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    variants = {'old': scripted(2), 'new': scripted(1), 'long': too_slow}
    measuring = make_runner(Workspace(tmp_path), seconds=36_000)
    measuring.take([lambda: row(variants=variants)])
    [result] = measuring.results
    assert result.ratio('new', measure.CPU) == 0.5
    assert result.unreached == ('long',)
    assert not measuring.failed
    assert len(measuring.skipped) == 1
    printed = capsys.readouterr().out
    assert (
        'long                      not measured: there was no time' in printed
    )


def test_last_rows_get_time_too(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    measuring = make_runner(Workspace(tmp_path), seconds=170)
    assert measuring.allowance() == runner.MOST
    clock.now = 130
    assert measuring.allowance() == 10
    clock.now = 169
    measuring.take([row])
    assert not measuring.results
    assert measuring.skipped == ['preparing row']


def test_only_slices_of_long_histories_are_measured(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path)
    source = tmp_path / 'long'
    workspace.hg('core', 'init', source)
    for number in range(5):
        (source / 'f').write_text(str(number))
        workspace.hg('core', 'commit', '-qAm', str(number), cwd=source)
    monkeypatch.setattr(histories, 'FIRST_SLICE', 2)
    cut = histories.slice_of(workspace, source, 0)
    assert (cut.name, cut.changesets) == ('long (first 2)', 2)
    whole = histories.slice_of(workspace, source, 60)
    assert (whole.name, whole.changesets) == ('long', 5)
    for history in (cut, whole):
        for repository in (history.revlog, history.sqlite):
            log = ('-R', repository, 'log', '-T', '{rev} ')
            revisions = workspace.output('sqlite', *log).split()
            assert len(revisions) == history.changesets


# -- results of runs that are interrupted


def test_rows_are_written_at_once(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / 'work').mkdir()
    record = tmp_path / 'cache' / 'results.txt'
    measuring = make_runner(Workspace(tmp_path / 'work'), record=record)

    def second() -> measure.Row:
        assert 'a row' in capsys.readouterr().out
        assert 'a row' in record.read_text()
        return row(name='another')

    measuring.take([row, second])
    assert not measuring.failed
    assert 'another' in record.read_text()


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_keeps_what_it_measured(
    number: int,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt() -> measure.Sample:
        signal.raise_signal(number)
        raise AssertionError('it was not interrupted')

    def common(*_ignored: object) -> list[Callable[[], measure.Row]]:
        stopped = {'old': scripted(2), 'new': scripted(1), 'stop': interrupt}
        return [
            lambda: row(name='first'),
            lambda: row(name='second', variants=stopped),
            lambda: row(name='never'),
        ]

    monkeypatch.setattr(rows_storage, 'common', common)
    readme = tmp_path / 'README.rst'
    readme.write_text('figures')
    published = tmp_path / 'published'
    record = tmp_path / 'record'
    words = ['--only=storage', '--package=none', '--record', record]
    words += ['--publish', published, '--readme', readme]
    monkeypatch.setattr(sys, 'argv', ['benchmarks', *map(str, words)])
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    # A shell that runs tests in the background has them ignore SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        status = __main__.main()
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
    assert status == __main__.INTERRUPTED
    for text in (capsys.readouterr().out, record.read_text()):
        assert 'first' in text and 'never' not in text
        # Two variants of the interrupted row were measured.
        second = text[text.index('second') :]
        assert 'new' in second and '0.500' in second
    # An incomplete run publishes nothing.
    assert not published.exists()
    assert readme.read_text() == 'figures'


# -- the slow line


def test_bytes_take_turns_on_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    line = network.Line(speed=100, delay=2)
    assert line.arrival(50) == 2.5
    # The line is busy until 0.5.
    assert line.arrival(100) == 3.5
    clock.now = 10
    assert line.arrival(0) == 12


@pytest.mark.parametrize('slow', [False, True])
def test_proxy_forwards_and_counts(slow: bool) -> None:
    # A line so fast that the test does not wait for it.
    fast = network.Link(network.Line(1e12, 0), network.Line(1e12, 0))
    sent = os.urandom(1 << 20)
    counter = network.Counter()
    received = bytearray()
    with socket.create_server(('127.0.0.1', 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                while data := connection.recv(1 << 16):
                    received.extend(data)
                connection.sendall(sent[::-1])

        thread = threading.Thread(target=answer)
        thread.start()
        link = fast if slow else None
        port = listener.getsockname()[1]
        with (
            network.proxy(port, counter, link) as front,
            socket.create_connection(('127.0.0.1', front)) as client,
        ):
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            answered = b''.join(iter(lambda: client.recv(1 << 16), b''))
        thread.join()
    assert received == sent
    assert answered == sent[::-1]
    assert counter.bytes == len(sent)


# -- made-up histories


def make_bundle(out: pathlib.Path, shape: generate.Shape) -> bytes:
    generate.write_bundle(shape, out)
    return out.read_bytes()


def test_made_up_history_is_the_same_each_time(tmp_path: pathlib.Path) -> None:
    shape = generate.Shape(changesets=60, files=20)
    first = make_bundle(tmp_path / 'a', shape)
    assert first == make_bundle(tmp_path / 'b', shape)
    other = dataclasses.replace(shape, seed=2)
    assert first != make_bundle(tmp_path / 'b', other)


@pytest.mark.parametrize('config', ['core', 'sqlite'])
def test_made_up_history_is_valid(config: str, tmp_path: pathlib.Path) -> None:
    workspace = Workspace(tmp_path)
    bundle, repository = tmp_path / 'bundle', tmp_path / 'repository'
    generate.write_bundle(generate.Shape(changesets=150, files=40), bundle)
    workspace.hg(config, 'init', repository)
    where = (config, '-R', repository)
    workspace.hg(*where, 'unbundle', '-q', bundle)
    workspace.hg(*where, 'verify', '-q')

    def count(revset: str) -> int:
        words = ('log', '-r', revset, '-T', 'x')
        return len(workspace.output(*where, *words))

    assert count('all()') == 150
    assert count('public()') == 150
    assert count('heads(all())') == 1
    assert count('merge()') > 5
    # Files are added, changed and removed.
    assert count('adds("re:.")') > 5
    assert count('removes("re:.")') > 1
    files = workspace.output(*where, 'files', '-r', 'tip').splitlines()
    assert 20 < len(files) < 40
    assert any('/' in path for path in files)


def test_growth_is_measured(tmp_path: pathlib.Path) -> None:
    document = tmp_path / 'figures.rst'
    name = scale.CURVES
    document.write_text(f'.. {name} begin\nold\n.. {name} end\n')
    everyday = {'store', 'update', 'status', 'diff of 100', 'commit', 'push'}
    everyday |= {'segments', 'pull'}
    packs = {'clone over HTTP', 'wire-warm, nothing cached', 'repack'}
    packs |= {'wire-warm after a push'}

    def measured(kind: str) -> str:
        words = ['--kind', kind, '--smallest', '25', '--factors', '2']
        words += ['--rounds', '1', '--record', str(tmp_path / 'record')]
        words += ['--publish', str(tmp_path / 'figures')]
        before = signal.getsignal(signal.SIGTERM)
        try:
            assert scale.main(words) == 0
        finally:
            signal.signal(signal.SIGTERM, before)
        return (tmp_path / 'figures' / f'scale-{kind}.txt').read_text()

    text = measured('long')
    assert '2x: 50 changesets, 10 files' in text
    assert {title for title in everyday | packs if f'\n{title}  ' in text} == (
        everyday | packs
    )
    figures = [line.split() for line in text.splitlines() if ' s  ' in line]
    assert len(figures) > 30
    assert all(float(line[-1]) > 0 for line in figures)
    shown = document.read_text()
    assert 'old' not in shown and 'wire-warm after a push' in shown
    # Curves of other kinds stay.
    text = measured('tall')
    assert '2x: 50 changesets, 2000 files' in text
    assert {title for title in everyday | packs if f'\n{title}  ' in text} == (
        everyday
    )
    shown = document.read_text()
    assert 'long histories' in shown and 'tall histories' in shown


def test_a_history_is_made_once(tmp_path: pathlib.Path) -> None:
    shape = generate.Shape(20, 5)
    workspace = Workspace(tmp_path)
    made = []
    for _run in range(2):
        site = rows_scale.Site(workspace, 'long', shape, True)
        site.make(tmp_path)
        (bundle,) = tmp_path.glob('20-5-*.hg')
        made.append(bundle.stat().st_mtime_ns)
        site.fill('revlog')
        site.remove()
    assert made[0] == made[1]


def test_curves_show_growth() -> None:
    def measured(ratio: float) -> measure.Result:
        return size_row('long: store', ratio)

    text = report.curves({1: [measured(2)], 16: [measured(3)]})
    head, first, second = text.splitlines()
    assert head.split() == ['store', '1x', '16x', 'growth']
    assert first.split() == ['revlog', 'size', 'MB', '1.000', '1.000', '1.00']
    assert second.split()[-3:] == ['2.000', '3.000', '1.50']
    # A row that is missing at one size leaves a gap.
    text = report.curves({1: [measured(2)], 4: []})
    assert text.splitlines()[1].split()[-2:] == ['1.000', '-']


def test_requests_for_admission_are_repeatable() -> None:
    asked = list(admission.requests(0, 30, 2))
    assert asked == list(admission.requests(0, 30, 2))
    heads = [head for _known, head in asked]
    assert heads == sorted(heads)
    # Two jobs of CI after each of the ten pushes, and pulls of developers.
    assert asked.count((2, 3)) >= 2
    assert len(asked) > 20


def test_admission_after_more_requests_stores_less() -> None:
    class Server(admission.Server):
        def __init__(self) -> None:
            self.costs = {}

        def cost(self, key: admission.Key) -> admission.Cost:
            return admission.Cost(1_000_000, 1.0)

    asked = [(0, 1)] * 40
    lines = [admission.replay(Server(), asked, after) for after in (1, 2)]
    assert lines[0].endswith('98% hits, 1.00 s of CPU, 1 entries, 1.00 MB')
    # Each worker counts for itself.
    assert lines[1].endswith('1 entries, 1.00 MB')
    computed = float(lines[1].split('hits, ')[1].split(' s')[0])
    assert 2 <= computed <= admission.WORKERS + 1


def test_table_of_steps_has_ratios_to_the_first() -> None:
    def outcome(name: str, seconds: float, once: float) -> path.Outcome:
        measured = dict.fromkeys(path.HEADINGS, seconds)
        return path.Outcome(name, measured, once, 8.6)

    text = path.table([outcome('stock', 2, 0), outcome('step', 0.5, 1.5)])
    lines = text.splitlines()
    assert len({len(line) for line in lines if line[0] == '='}) == 1
    assert lines[3].split() == ['stock', *['2.00', '(1.00)'] * 4, '8.6', 'MB']
    assert lines[4].split() == [
        *('step', *['0.50', '(0.25)'] * 4),
        *('1.5', '8.6', 'MB'),
    ]
