# SPDX-License-Identifier: GPL-2.0-or-later
"""The sample files for systemd, logrotate and containers work as they are.

Only paths are replaced. What nginx, Litestream and Prometheus read is tested
elsewhere.
"""

from __future__ import annotations

import getpass
import grp
import importlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from conftest import ROOT, wait_for

from hgext3rd.amalgam import doctor

DEPLOY = ROOT / 'docs' / 'deploy'
UNITS = sorted(
    path
    for kind in ('service', 'socket', 'timer')
    for path in DEPLOY.glob(f'*.{kind}')
)
SERVICES = [path for path in UNITS if path.suffix == '.service']
BIN = pathlib.Path(sys.executable).parent
PATH = f'{BIN}:{os.environ["PATH"]}:/usr/sbin'


def program(name: str) -> str:
    found = shutil.which(name, path=PATH)
    assert found is not None, name
    return found


def command_lines(path: pathlib.Path) -> Iterator[list[str]]:
    """Yield the commands that a unit starts."""
    text = path.read_text().replace('\\\n', '')
    for line in re.findall(r'^ExecStart=(.*)$', text, re.M):
        yield shlex.split(line)


def hg_lines() -> Iterator[tuple[str, list[str]]]:
    """Yield the units that run hg, and the arguments."""
    for path in SERVICES:
        for words in command_lines(path):
            if words[0].endswith('/hg'):
                yield path.name, words[1:]


def commands() -> dict[str, list[tuple[object, ...]]]:
    """Return the options of each command of the extensions."""
    tables = [doctor.cmdtable] + [
        importlib.import_module(f'hgext3rd.{name}').cmdtable
        for name in ('sqlitestore', 'wireprotov2', 'lfsserver')
    ]
    return {
        name.decode(): list(entry[1])
        for table in tables
        for name, entry in table.items()
    }


# systemd


def checked(path: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Copy all units to ``folder``; return the one to check.

    The programs are not where the units expect them.
    """
    for unit in UNITS:
        text = re.sub(
            r'^(ExecStart=)\S+',
            rf'\1{program("true")}',
            unit.read_text(),
            flags=re.M,
        )
        name = unit.name.replace('@.', '@project.')
        (folder / name).write_text(text)
        (folder / unit.name).write_text(text)
    return folder / path.name.replace('@.', '@project.')


def analyze(
    *args: str, folder: pathlib.Path
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program('systemd-analyze'), *args],
        cwd=folder,
        env={**os.environ, 'SYSTEMD_UNIT_PATH': f'{folder}:'},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.mark.needs('systemd')
@pytest.mark.parametrize('path', UNITS, ids=lambda path: path.name)
def test_systemd_accepts_the_unit(
    path: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    unit = checked(path, tmp_path)
    done = analyze('verify', f'./{unit.name}', folder=tmp_path)
    ours = [line for line in done.stdout.splitlines() if str(tmp_path) in line]
    assert not ours
    assert 'Unknown' not in done.stdout


@pytest.mark.needs('systemd')
def test_systemd_finds_mistakes(tmp_path: pathlib.Path) -> None:
    unit = checked(DEPLOY / 'hgweb.service', tmp_path)
    unit.write_text(unit.read_text().replace('PrivateTmp', 'PrivatTmp'))
    done = analyze('verify', f'./{unit.name}', folder=tmp_path)
    assert 'PrivatTmp' in done.stdout


@pytest.mark.needs('systemd')
@pytest.mark.parametrize('path', SERVICES, ids=lambda path: path.name)
def test_services_are_confined(
    path: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """systemd calls an exposure of less than 3 of 10 "OK"."""
    unit = checked(path, tmp_path)
    done = analyze(
        'security',
        '--offline=true',
        '--threshold=30',
        f'./{unit.name}',
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stdout


def test_timers_have_services() -> None:
    timers = [path for path in UNITS if path.suffix == '.timer']
    assert timers
    for path in timers:
        assert path.with_suffix('.service') in SERVICES


@pytest.mark.parametrize(
    ('unit', 'words'), list(hg_lines()), ids=lambda value: str(value)[:20]
)
def test_commands_in_units_exist(unit: str, words: list[str]) -> None:
    known = commands()
    (name,) = [word for word in words if word.startswith('admin::')]
    options = {f'--{option[1].decode()}' for option in known[name]}  # type: ignore[attr-defined]
    used = {word for word in words if word.startswith('--')}
    assert used - {'--quiet'} <= options


class Service:
    """gunicorn as hgweb.service starts it, with the socket of hgweb.socket."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.logs = folder / 'log'
        self.logs.mkdir()
        (folder / 'metrics').mkdir()
        self.socket = folder / 'web.sock'
        shutil.copy(DEPLOY / 'hgweb.wsgi.py', folder / 'hgweb_wsgi.py')
        (folder / 'hgweb.conf').write_text(
            '[extensions]\nwireprotov2 =\nlfs =\nlfsserver =\n'
            f'[paths]\nproject = {folder}/project\n'
        )
        subprocess.check_call([program('hg'), 'init', folder / 'project'])
        self.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notified.bind(str(folder / 'notify'))
        self.notified.settimeout(600)

    def start(self) -> subprocess.Popen[bytes]:
        unit = (DEPLOY / 'hgweb.service').read_text()
        variables = dict(
            line.split('=', 1)
            for line in re.findall(r'^Environment=(.*)$', unit, re.M)
        )
        assert variables['HGWEB_CONFIG'] == '/srv/hg/hgweb.conf'
        assert variables['HGRCPATH'] == '/srv/hg/hgweb.conf'
        (words,) = command_lines(DEPLOY / 'hgweb.service')
        assert words[0] == '/srv/hg/venv/bin/gunicorn'
        words = [w.replace('/var/log/hgweb', str(self.logs)) for w in words]
        env = {
            'PATH': PATH,
            'HGWEB_CONFIG': str(self.folder / 'hgweb.conf'),
            'HGRCPATH': str(self.folder / 'hgweb.conf'),
            'PROMETHEUS_MULTIPROC_DIR': str(self.folder / 'metrics'),
            'PYTHONPATH': str(ROOT),
            'NOTIFY_SOCKET': str(self.folder / 'notify'),
        }
        return subprocess.Popen(
            [program('systemd-socket-activate'), '-l', str(self.socket)]
            + [f'--setenv={name}={value}' for name, value in env.items()]
            + [str(BIN / 'gunicorn'), *words[1:]],
            cwd=self.folder,
        )

    def get(self, path: str) -> bytes:
        """Return the answer to a request through the socket."""
        with socket.socket(socket.AF_UNIX) as conn:
            conn.settimeout(600)
            conn.connect(str(self.socket))
            conn.sendall(
                f'GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'.encode()
            )
            answer = b''
            while data := conn.recv(65536):
                answer += data
        return answer


@pytest.fixture(scope='module')
def service(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Service, subprocess.Popen[bytes]]]:
    pytest.importorskip('gunicorn')
    # The path of a socket is short.
    served = Service(tmp_path_factory.mktemp('s'))
    process = served.start()
    try:
        wait_for(served.socket.exists, 'socket', process)
        yield served, process
    finally:
        process.terminate()
        process.wait()


@pytest.mark.needs('systemd')
def test_the_service_answers_and_is_ready(
    service: tuple[Service, subprocess.Popen[bytes]],
) -> None:
    served, _process = service
    answer = served.get('/project?cmd=capabilities')
    assert answer.startswith(b'HTTP/1.1 200'), answer
    # Type=notify: systemd waits for this.
    assert b'READY=1' in served.notified.recv(4096)


@pytest.mark.needs('systemd', 'logrotate')
def test_logs_are_rotated(
    service: tuple[Service, subprocess.Popen[bytes]], tmp_path: pathlib.Path
) -> None:
    """logrotate accepts the file, and gunicorn goes on in a new file."""
    served, process = service
    served.get('/')
    log = served.logs / 'access.log'
    wait_for(lambda: log.exists() and log.stat().st_size > 0, 'log', process)
    text = (DEPLOY / 'hgweb.logrotate').read_text()
    signalled = re.search(r'^ *systemctl kill .*$', text, re.M)
    assert signalled is not None
    assert '--signal=USR1 hgweb.service' in signalled[0]
    group = grp.getgrgid(os.getgid()).gr_name
    text = (
        text.replace(signalled[0], f'kill -USR1 {process.pid}')
        .replace('/var/log/hgweb', str(served.logs))
        .replace('hg adm', f'{getpass.getuser()} {group}')
    )
    conf = tmp_path / 'hgweb'
    conf.write_text(text)
    conf.chmod(0o644)
    command = [program('logrotate'), '-s', str(tmp_path / 'state')]
    debug = subprocess.run(
        [*command, '-d', str(conf)], capture_output=True, text=True, check=True
    )
    assert 'error:' not in debug.stderr
    subprocess.run([*command, '-f', str(conf)], check=True)
    assert (served.logs / 'access.log.1').exists()

    def written() -> bool:
        served.get('/project')
        return log.exists() and log.stat().st_size > 0

    wait_for(written, 'new log', process)


@pytest.mark.needs('systemd')
def test_reload_reads_the_configuration_anew(
    service: tuple[Service, subprocess.Popen[bytes]],
) -> None:
    served, process = service
    assert (
        'ExecReload=/bin/kill -HUP $MAINPID'
        in (DEPLOY / 'hgweb.service').read_text()
    )
    assert served.get('/project').startswith(b'HTTP/1.1 200')
    conf = served.folder / 'hgweb.conf'
    conf.write_text(conf.read_text().replace('project =', 'renamed ='))
    process.send_signal(signal.SIGHUP)
    wait_for(
        lambda: served.get('/renamed').startswith(b'HTTP/1.1 200'),
        'reload',
        process,
    )


# Containers


def instructions() -> list[tuple[str, str]]:
    text = (DEPLOY / 'Dockerfile').read_text()
    text = re.sub(r'^#.*\n', '', text, flags=re.M).replace('\\\n', '')
    return [
        (line.partition(' ')[0], line.partition(' ')[2].strip())
        for line in text.splitlines()
        if line.strip()
    ]


@pytest.mark.needs('hadolint')
def test_hadolint_accepts_the_dockerfile() -> None:
    subprocess.run([program('hadolint'), DEPLOY / 'Dockerfile'], check=True)


@pytest.mark.needs('docker')
def test_the_image_can_be_built() -> None:
    image = 'hg-amalgam-test'
    build = ['docker', 'build', '-q', '-t', image]
    build += ['-f', str(DEPLOY / 'Dockerfile'), str(ROOT)]
    subprocess.run(build, check=True)
    try:
        version = ['--config', 'extensions.wireprotov2=', 'version']
        run = ['docker', 'run', '--rm', '-e', 'HGRCPATH=', image, 'hg']
        subprocess.run([*run, *version], check=True)
    finally:
        subprocess.run(['docker', 'image', 'rm', image], check=True)


def test_the_dockerfile_copies_what_exists() -> None:
    copied = [words.split() for name, words in instructions() if name == 'COPY']
    assert copied
    for *sources, _target in copied:
        for source in sources:
            assert (ROOT / source).exists()


def test_the_image_is_not_run_by_root() -> None:
    users = [words for name, words in instructions() if name == 'USER']
    assert users
    assert users[-1].split(':')[0] not in ('0', 'root')


def test_the_command_of_the_image_is_understood(tmp_path: pathlib.Path) -> None:
    pytest.importorskip('gunicorn')
    (text,) = [words for name, words in instructions() if name == 'CMD']
    words = json.loads(text)
    assert words[0] == 'gunicorn'
    shutil.copy(DEPLOY / 'hgweb.wsgi.py', tmp_path / 'hgweb_wsgi.py')
    conf = tmp_path / 'hgweb.conf'
    conf.write_text('[paths]\n')
    done = subprocess.run(
        [BIN / 'gunicorn', '--check-config', *words[1:]],
        cwd=tmp_path,
        env={**os.environ, 'HGWEB_CONFIG': str(conf), 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
