# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for all pytest modules: feature checks, Redis and S3 servers.

Helpers for one extension are in helpers/. No test may depend on the speed of
the machine: hypothesis has no deadline, tests wait for events, and time limits
only end tests that hang.
"""

from __future__ import annotations

import os
import pathlib
import random
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The tests also run from a checkout that is not installed.
for folder in (ROOT, ROOT / 'tests'):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

import hghaveaddon

settings.register_profile(
    'amalgam',
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.function_scoped_fixture,
    ],
)
settings.load_profile('amalgam')

#: Seconds after which a test that waits for something counts as hanging.
PATIENCE = 600

#: The ports that servers of tests listen on. Systems take the ports of clients
#: from higher ones, and Mercurial's test runner begins at 20059.
PORTS = range(10000, 20000)

pytest.register_assert_rewrite('helpers.lfsserver_http')


def pytest_configure(config: pytest.Config) -> None:
    """Register the fixtures of LFS servers, so that all modules share them."""
    from helpers import lfsserver_http

    config.pluginmanager.register(lfsserver_http)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests whose ``needs`` marker names an absent feature."""
    answers: dict[str, bool] = {}
    for item in items:
        for marker in item.iter_markers('needs'):
            for name in marker.args:
                check, description = hghaveaddon.features[name]
                if name not in answers:
                    answers[name] = check()
                if not answers[name]:
                    reason = f'missing feature: {description}'
                    item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def plain_mercurial(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's Mercurial configuration out of the tests."""
    monkeypatch.setenv('HGRCPATH', '')
    monkeypatch.setenv('HGUSER', 'test')
    monkeypatch.delenv('HGPLAIN', raising=False)


def free_port() -> int:
    """Return a TCP port that no process uses at the moment.

    Until the server listens on it, no connection of another process can take
    it, as it could take a port that the system chose. Each process that runs
    tests at the same time chooses from ports of its own.
    """
    chosen = random.SystemRandom()
    mine = int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0')[2:])
    workers = int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', '1'))
    for _attempt in range(1000):
        port = chosen.choice(PORTS[mine::workers])
        try:
            socket.create_server(('127.0.0.1', port)).close()
        except OSError:
            continue
        return port
    pytest.fail('found no free port')


def wait_for(
    ready: Callable[[], bool],
    what: str,
    process: subprocess.Popen[bytes] | None = None,
) -> None:
    """Wait until ``ready()`` is true; fail the test if it never is.

    ``what`` names the thing to be ready in the message of the failure. The test
    fails at once if ``process``, which makes it ready, has ended.
    """
    deadline = time.monotonic() + PATIENCE
    while not ready():
        if process is not None and process.poll() is not None:
            pytest.fail(f'{what}: the process ended ({process.returncode})')
        if time.monotonic() > deadline:
            pytest.fail(f'{what} was not ready within {PATIENCE} s')
        time.sleep(0.05)


def accepts(port: int) -> bool:
    """Tell whether a process accepts connections on the loopback port."""
    try:
        socket.create_connection(('127.0.0.1', port)).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope='session')
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a redis-server without persistence; return its URL."""
    if not hghaveaddon.has_redis():
        pytest.skip('missing feature: redis')
    port = free_port()
    folder = tmp_path_factory.mktemp('redis')
    server = subprocess.Popen(
        ['redis-server', '--port', str(port), '--bind', '127.0.0.1']
        + ['--save', '', '--appendonly', 'no', '--dir', str(folder)],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: accepts(port), 'redis-server', server)
        yield f'redis://127.0.0.1:{port}/0'
    finally:
        server.terminate()
        server.wait()


@dataclass(frozen=True)
class S3Server:
    """An S3 server (moto) with a bucket that anybody may read."""

    endpoint: str
    bucket: str

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that configure S3 clients for this server."""
        return {
            'AWS_ACCESS_KEY_ID': 'testing',
            'AWS_SECRET_ACCESS_KEY': 'testing',
            'AWS_REGION': 'us-east-1',
            'AWS_DEFAULT_REGION': 'us-east-1',
            'AWS_ENDPOINT_URL': self.endpoint,
            'AWS_ENDPOINT': self.endpoint,
            'AWS_ALLOW_HTTP': 'true',
        }


@pytest.fixture(scope='session')
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Start an S3 server with one public bucket."""
    if not hghaveaddon.has_s3():
        pytest.skip('missing feature: s3')
    port = free_port()
    log = tmp_path_factory.mktemp('s3') / 'moto.log'
    command = [sys.executable, '-m', 'moto.server']
    with log.open('wb') as out:
        server = subprocess.Popen(
            [*command, '-H', '127.0.0.1', '-p', str(port)],
            stdout=out,
            stderr=out,
            env=dict(os.environ, MOTO_S3_CUSTOM_ENDPOINTS=''),
        )
    try:
        wait_for(lambda: accepts(port), 'moto server', server)
        endpoint = f'http://127.0.0.1:{port}'
        create = urllib.request.Request(
            f'{endpoint}/amalgam',
            method='PUT',
            headers={'x-amz-acl': 'public-read'},
        )
        urllib.request.urlopen(create).close()
        yield S3Server(endpoint, 'amalgam')
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """Return the S3 server; set the environment so that clients use it."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server
