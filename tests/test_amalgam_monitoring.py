# SPDX-License-Identifier: GPL-2.0-or-later
"""The scrape of a server, and the sample files that name its metrics."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import ROOT, accepts, free_port, wait_for

pytestmark = pytest.mark.needs('prometheus')

DEPLOY = ROOT / 'docs' / 'deploy'
DASHBOARD = DEPLOY / 'grafana-dashboard.json'
ALERTS = DEPLOY / 'prometheus-alerts.yml'
HG = str(pathlib.Path(sys.executable).with_name('hg'))

#: Everything that has metrics is enabled.
CONFIG = """\
[ui]
username = test
[extensions]
sqlitestore =
wireprotov2 =
lfs =
lfsserver =
[storage]
new-repo-backend = sqlite
[wireprotov2]
metrics = yes
cacher = memory
limit.computing = 2
limit.folder = {folder}/slots
[lfsserver]
quota = 1 MB
[paths]
/ = {folder}/repos/*
"""

#: A name that labels have to escape.
NAMES = ('plain', 'with "quotes"')

_METRIC = re.compile(r'\bamalgam_[a-z_]+')
#: A metric with matchers of labels, as in an expression of Prometheus.
_SELECTOR = re.compile(r'(amalgam_[a-z_]+)\{([^}]*)\}')
_LABEL = re.compile(r'([a-z]+)=~?"')


class Scraped:
    """What a server with two repositories said when everything was used."""

    def __init__(self, folder: pathlib.Path) -> None:
        config = folder / 'web.conf'
        config.write_text(CONFIG.format(folder=folder))
        self.env = dict(os.environ, HGRCPATH=str(config), HGPLAIN='1')
        for name in NAMES:
            repo = folder / 'repos' / name
            self.hg('init', repo)
            (repo / 'file').write_text('content\n')
            self.hg('-R', repo, 'commit', '-qAm', 'first')
            self.hg('-R', repo, 'admin::sqlite-repack', '-q')
        self.port = free_port()
        log = (folder / 'log').open('wb')
        server = subprocess.Popen(
            [HG, 'serve', '--web-conf', config, '-p', str(self.port)],
            env=self.env,
            stdout=log,
            stderr=log,
            cwd=folder,
        )
        try:
            wait_for(lambda: accepts(self.port), 'hg serve', server)
            for name in NAMES:
                path = urllib.request.quote(name)  # type: ignore[attr-defined]
                self.use(folder, path)
            self.root = self.get('api/metrics')
            self.single = self.get('plain/api/metrics')
        finally:
            server.terminate()
            server.wait()
            log.close()
        self.log = (folder / 'log').read_text()

    def use(self, folder: pathlib.Path, path: str) -> None:
        """Cause events of every kind in a repository."""
        url = f'http://127.0.0.1:{self.port}/{path}'
        for number in range(2):
            self.hg('clone', '-q', url, folder / f'{path[:5]}{number}')
        script = folder / 'script'
        # A command that fails: there is no such changeset.
        script.write_text('command lookup\n    key absent\n')
        with script.open() as stdin:
            subprocess.run(
                [HG, 'debugwireprotov2', url + '/'],
                env=self.env,
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )

    def hg(self, *words: object) -> None:
        subprocess.run([HG, *map(str, words)], env=self.env, check=True)

    def get(self, path: str) -> str:
        url = f'http://127.0.0.1:{self.port}/{path}'
        with urllib.request.urlopen(url) as response:
            text: str = response.read().decode()
        return text


@pytest.fixture(scope='module')
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Scraped:
    return Scraped(tmp_path_factory.mktemp('monitored'))


def families(text: str) -> list[Any]:
    """Return the metrics in the text of a scrape."""
    from prometheus_client.parser import text_string_to_metric_families

    return list(text_string_to_metric_families(text))


def samples(text: str) -> Iterator[Any]:
    for family in families(text):
        yield from family.samples


@pytest.mark.parametrize('which', ['root', 'single'])
def test_format(scraped: Scraped, which: str) -> None:
    """Each metric stands once, with help and type; no sample is repeated."""
    text = getattr(scraped, which)
    found = families(text)
    names = [family.name for family in found]
    assert len(set(names)) == len(names)
    # The parser takes what has no type for a metric of its own.
    assert {family.type for family in found} <= {
        'gauge',
        'counter',
        'histogram',
    }
    assert all(family.documentation for family in found)
    series = [(s.name, *sorted(s.labels.items())) for s in samples(text)]
    assert len(set(series)) == len(series)
    assert all(s.value >= 0 for s in samples(text))
    assert 'Traceback' not in scraped.log


def test_one_scrape_has_all_repositories(scraped: Scraped) -> None:
    for metric in (
        'amalgam_wire_command_seconds_count',
        'amalgam_cache_events_total',
        'amalgam_store_database_bytes',
        'amalgam_lfs_locks',
    ):
        names = {
            s.labels['repository']
            for s in samples(scraped.root)
            if s.name == metric
        }
        assert names == set(NAMES), metric


def test_a_repository_has_the_same_values_alone(scraped: Scraped) -> None:
    """Apart from what the scrape itself and shared resources change."""
    alone = {
        (s.name, *sorted(s.labels.items())): s.value
        for s in samples(scraped.single)
    }
    of_plain = {}
    for sample in samples(scraped.root):
        labels = dict(sample.labels)
        if labels.pop('repository', None) == 'plain':
            key = (sample.name, *sorted(labels.items()))
            of_plain[key] = sample.value
    del alone[('amalgam_scrape_failures',)]
    assert alone == of_plain


def test_what_repositories_share_has_no_repository(scraped: Scraped) -> None:
    common = {
        s.name for s in samples(scraped.root) if 'repository' not in s.labels
    }
    assert common == {
        'amalgam_cache_entries',
        'amalgam_cache_limit_bytes',
        'amalgam_cache_size_bytes',
        'amalgam_repositories',
        'amalgam_scrape_failures',
        'amalgam_wire_computing',
        'amalgam_wire_computing_limit',
        'amalgam_wire_waiting',
    }
    assert not common & {s.name for s in samples(scraped.single)} - {
        'amalgam_scrape_failures'
    }


def expressions() -> Iterator[tuple[str, str]]:
    """Yield the file and the text of each expression in the sample files."""
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard['panels']:
        for target in panel['targets']:
            yield DASHBOARD.name, target['expr']
    for variable in dashboard['templating']['list']:
        yield DASHBOARD.name, variable['query']
    yaml = pytest.importorskip('yaml')
    for group in yaml.safe_load(ALERTS.read_text())['groups']:
        for rule in group['rules']:
            yield ALERTS.name, rule['expr']


def test_sample_files_name_metrics_that_exist(scraped: Scraped) -> None:
    known: dict[str, set[str]] = {}
    for sample in samples(scraped.root):
        known.setdefault(sample.name, set()).update(sample.labels)
    used = 0
    for name, expression in expressions():
        for metric in _METRIC.findall(expression):
            used += 1
            assert metric in known, (name, metric)
        for metric, matchers in _SELECTOR.findall(expression):
            # Of what repositories share, all is shown.
            labels = set(_LABEL.findall(matchers)) - {'repository'}
            assert labels <= known[metric], (name, expression)
    assert used > 30


def test_dashboard_has_every_metric(scraped: Scraped) -> None:
    shown = ' '.join(
        text for name, text in expressions() if name == DASHBOARD.name
    )
    for family in families(scraped.root):
        assert family.name in shown


def test_every_metric_is_documented_once(scraped: Scraped) -> None:
    text = (ROOT / 'docs' / 'operating.rst').read_text()
    table = re.findall(r'^``(amalgam_[a-z_]+)``  ', text, re.MULTILINE)
    assert len(set(table)) == len(table)
    suffixed = [
        family.name + '_total' * (family.type == 'counter')
        for family in families(scraped.root)
    ]
    assert sorted(table) == sorted(suffixed)


def test_alerts_say_what_to_do() -> None:
    yaml = pytest.importorskip('yaml')
    (group,) = yaml.safe_load(ALERTS.read_text())['groups']
    names = [rule['alert'] for rule in group['rules']]
    assert len(set(names)) == len(names)
    for rule in group['rules']:
        assert rule['labels']['severity'] in ('critical', 'warning', 'info')
        assert rule['annotations']['summary'].strip()


def test_scrape_configuration_is_the_address_that_is_served() -> None:
    yaml = pytest.importorskip('yaml')
    config = yaml.safe_load((DEPLOY / 'prometheus.yml').read_text())
    (job,) = config['scrape_configs']
    assert job['metrics_path'] == '/api/metrics'
    assert config['rule_files'] == [ALERTS.name]
