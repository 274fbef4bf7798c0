# SPDX-License-Identifier: GPL-2.0-or-later
"""The services of a fleet, on one or two machines, as docs/deploy sets them up.

The first machine has nginx, gunicorn with the primary, Redis, and an S3 server
behind an nginx of its own; the second has gunicorn with a replica. A machine is a
network namespace, if the system permits that. Nothing here knows clients or
faults.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / 'docs' / 'deploy'
HG = str(pathlib.Path(sys.executable).with_name('hg'))

#: Seconds after which what is waited for counts as never happening.
PATIENCE = 120

#: The addresses of the two machines, and an address that no machine has.
HERE, THERE = '10.77.0.1', '10.77.0.2'
CLIENTS = tuple(f'10.77.1.{number}/32' for number in range(1, 9))
NOBODY = '02:00:00:00:00:99'

USER = """\
[extensions]
sqlitestore =
wireprotov2 =
lfs =
[storage]
new-repo-backend = sqlite
[ui]
username = test
timeout = 60
[lfs]
track = **.bin
[experimental]
lfs.disableusercache = yes
"""

STORE = """\
[lfsserver]
store = s3://bucket/project
store:endpoint = http://{address}
store:region = us-east-1
store:access_key_id = x
store:secret_access_key = y
[lfs]
url = http://{own}/project/.git/info/lfs
[web]
push_ssl = no
"""

NGINX = """\
daemon off;
worker_processes 1;
user {user};
pid {folder}/{name}.pid;
error_log {folder}/{name}.log;
events {{}}
http {{
access_log off;
client_body_temp_path {folder}/{name}-body;
proxy_temp_path {folder}/{name}-proxy;
fastcgi_temp_path {folder}/{name}-fastcgi;
uwsgi_temp_path {folder}/{name}-uwsgi;
scgi_temp_path {folder}/{name}-scgi;
{text}
}}
"""

IN_FRONT_OF_S3 = """\
server {{
    listen {address};
    client_max_body_size 0;
    location / {{
        proxy_pass http://{behind};
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_request_buffering off;
    }}
}}
"""


def wait_for(ready: Callable[[], bool], what: str) -> None:
    """Wait until ``ready()`` is true; raise TimeoutError if it never is."""
    deadline = time.monotonic() + PATIENCE
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.05)


def content(name: str) -> bytes:
    """Return what a file of this name holds."""
    source = random.Random(name)
    if name.endswith('.bin'):
        return source.randbytes(source.randrange(1, 200_000))
    lines = [str(source.random()) for _ in range(source.randrange(1, 300))]
    return '\n'.join(lines).encode()


def accepts(address: str) -> bool:
    """Return whether a process accepts connections at ``host:port``."""
    host, port = address.split(':')
    try:
        socket.create_connection((host, int(port)), 5).close()
    except OSError:
        return False
    return True


@dataclass
class Service:
    """A program in a process group of its own, which can be killed as a whole."""

    name: str
    command: list[str]
    address: str
    folder: pathlib.Path
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def log(self) -> pathlib.Path:
        return self.folder / f'{self.name}.out'

    def start(self) -> None:
        """Start the program, and wait until it accepts connections."""
        with self.log.open('ab') as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(lambda: accepts(self.address), self.name)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to all processes of the program; wait for its end."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        self.process.wait()
        self.process = None


class Fleet:
    """All services, with the repositories ``primary`` and ``replica``.

    With ``apart``, the replica is on a machine of its own; this process must then
    have a network namespace of its own.
    """

    def __init__(self, folder: pathlib.Path, port: int, apart: bool) -> None:
        self.folder = folder
        self.holder: subprocess.Popen[bytes] | None = None
        here, there = (HERE, THERE) if apart else ('127.0.0.1', '127.0.0.1')
        if apart:
            self._join_machines()
        self.web = f'{here}:{port}'
        self.direct = f'{here}:{port + 1}'
        self.remote = f'{there}:{port + 2}'
        self.s3 = f'{here}:{port + 3}'
        self.redis = f'{here}:{port + 4}'
        self._moto = f'127.0.0.1:{port + 5}'
        (folder / 'hgrc').write_text(USER)
        self.environment = {
            'HGRCPATH': str(folder / 'hgrc'),
            'HGPLAIN': '1',
            'PYTHONPATH': f'{ROOT}:{folder}',
            'PATH': f'{pathlib.Path(HG).parent}:{os.environ["PATH"]}:/usr/sbin',
            'HOME': str(folder),
        }
        shutil.copy(DEPLOY / 'hgweb.wsgi.py', folder / 'hgweb_wsgi.py')
        self.services = {
            service.name: service
            for service in (
                self._service(
                    'moto',
                    [sys.executable, '-m', 'moto.server', '-H']
                    + self._moto.replace(':', ' -p ').split(),
                    self._moto,
                ),
                self._nginx(
                    's3',
                    IN_FRONT_OF_S3.format(address=self.s3, behind=self._moto),
                    self.s3,
                ),
                self._service(
                    'redis',
                    ['redis-server', '--bind', here, '--port', str(port + 4)]
                    + ['--save', '', '--dir', str(folder)]
                    + ['--protected-mode', 'no'],
                    self.redis,
                ),
                self._gunicorn('primary', self.direct, []),
                self._gunicorn('replica', self.remote, self._inside()),
                self._nginx('web', self._balancer(), self.web),
            )
        }

    def start(self) -> None:
        """Create the repositories, and start everything."""
        for name in ('primary', 'replica'):
            root = self.folder / name
            self.hg('init', name)
            own = self.direct if name == 'primary' else self.remote
            text = STORE.format(address=self.s3, own=own)
            if name == 'primary':
                text += f'[replicas]\neu = http://{self.remote}/project\n'
            else:
                text += f'[replicas]\nsource = http://{self.direct}/project\n'
            with (root / '.hg' / 'hgrc').open('a') as file:
                file.write(text)
        # Branches of different clients begin here.
        (self.folder / 'primary' / 'start').write_bytes(content('start'))
        self.hg('-R', 'primary', 'commit', '-qAm', 'start', 'primary/start')
        self.hg('-R', 'primary', 'phase', '--public', '.')
        self.hg('-R', 'primary', 'update', '-q', 'null')
        for service in self.services.values():
            service.start()
            if service.name == 's3':
                create = urllib.request.Request(
                    f'http://{self.s3}/bucket',
                    method='PUT',
                    headers={'x-amz-acl': 'public-read'},
                )
                urllib.request.urlopen(create).close()
        self.hg('-R', 'primary', 'admin::replicas', '--sync')

    def stop(self) -> None:
        """Kill everything."""
        for service in reversed(self.services.values()):
            service.kill()
        # What tells the replica again and again is in no group of a service.
        shown = subprocess.run(
            ['ps', '-eo', 'pid=,args='], capture_output=True, check=False
        )
        for line in shown.stdout.decode('utf-8', 'replace').splitlines():
            pid, _space, command = line.strip().partition(' ')
            if f'-R {self.folder}/primary' in command:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        if self.holder is not None:
            self.holder.kill()
            self.holder.wait()

    def hg(self, *arguments: str, check: bool = True) -> str:
        """Run a command on the first machine; return what it prints."""
        done = subprocess.run(
            [HG, *arguments],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        text = done.stdout.decode('utf-8', 'replace')
        if check and done.returncode:
            raise RuntimeError(f'hg {" ".join(arguments)}: {text}')
        return text

    def url(self, number: int) -> str:
        """Return the URL of the repository for a client.

        Clients with different numbers have different addresses, if they can.
        """
        host, port = self.web.split(':')
        if self.holder is not None:
            host = CLIENTS[number % len(CLIENTS)].split('/')[0]
        return f'http://{host}:{port}/project'

    def part(self) -> None:
        """Let every packet between the machines get lost, without an error.

        Each machine sends them to a hardware address that no machine has.
        """
        self._address_packets(NOBODY, NOBODY)

    def join(self) -> None:
        """Let packets arrive again."""
        self._address_packets(*self._hardware)

    def _address_packets(self, to_there: str, to_here: str) -> None:
        neighbour = ['ip', 'neigh', 'replace']
        ending = ['nud', 'permanent']
        self._run([*neighbour, THERE, 'lladdr', to_there, 'dev', 'm0', *ending])
        self._run(
            [*self._inside(), *neighbour, HERE, 'lladdr', to_here]
            + ['dev', 'm1', *ending]
        )

    def _join_machines(self) -> None:
        """Make the second machine, and a cable to it."""
        self.holder = subprocess.Popen(['unshare', '-n', 'sleep', '1000000'])
        own = os.readlink('/proc/self/ns/net')
        theirs = pathlib.Path(f'/proc/{self.holder.pid}/ns/net')
        wait_for(lambda: os.readlink(theirs) != own, 'a network namespace')
        pid = str(self.holder.pid)
        inside = self._inside()
        for command in (
            'ip link set lo up',
            f'ip link add m0 type veth peer name m1 netns {pid}',
            f'ip addr add {HERE}/24 dev m0',
            'ip link set m0 up',
            # One for each client: nginx chooses a machine by the address.
            *(f'ip addr add {client} dev lo' for client in CLIENTS),
        ):
            self._run(command.split())
        for command in (
            'ip link set lo up',
            f'ip addr add {THERE}/24 dev m1',
            'ip link set m1 up',
        ):
            self._run([*inside, *command.split()])
        self._hardware = (self._mac(inside, 'm1'), self._mac([], 'm0'))

    def _mac(self, inside: list[str], name: str) -> str:
        words = self._run([*inside, 'ip', 'link', 'show', name]).split()
        return words[words.index('link/ether') + 1]

    def _inside(self) -> list[str]:
        """Return the words before a command that run it on the second machine."""
        if self.holder is None:
            return []
        return ['nsenter', '-t', str(self.holder.pid), '-n']

    def _run(self, command: list[str]) -> str:
        path = f'{os.environ["PATH"]}:/usr/sbin:/sbin'
        done = subprocess.run(
            command,
            env={**os.environ, 'PATH': path},
            check=True,
            capture_output=True,
        )
        return done.stdout.decode()

    def _service(
        self, name: str, command: list[str], address: str, **more: str
    ) -> Service:
        environment = {**self.environment, **more}
        return Service(name, command, address, self.folder, environment)

    def _gunicorn(self, name: str, address: str, inside: list[str]) -> Service:
        text = (DEPLOY / 'hgweb.conf').read_text()
        conf = self.folder / f'{name}.conf'
        conf.write_text(
            text.replace('/srv/hg/project', str(self.folder / name)).replace(
                'localhost:6379', self.redis
            )
        )
        command = [*inside, sys.executable, '-m', 'gunicorn']
        command += ['--worker-class', 'gthread', '--workers', '2']
        command += ['--threads', '4', '--bind', address]
        if name == 'primary':
            command += ['--bind', f'unix:{self.folder}/web.sock']
        command += ['hgweb_wsgi:application']
        return self._service(name, command, address, HGWEB_CONFIG=str(conf))

    def _balancer(self) -> str:
        text = (DEPLOY / 'nginx.conf').read_text()
        return (
            text.replace('unix:/run/hg/replica.sock', self.remote)
            .replace('/run/hg/', f'{self.folder}/')
            .replace('listen 80;', f'listen {self.web.split(":")[1]};')
        )

    def _nginx(self, name: str, text: str, address: str) -> Service:
        conf = self.folder / f'{name}.conf'
        conf.write_text(
            NGINX.format(
                folder=self.folder, name=name, text=text, user=getpass.getuser()
            )
        )
        # Debian has it where the path of users does not lead.
        path = f'{os.environ["PATH"]}:/usr/sbin'
        program = shutil.which('nginx', path=path) or 'nginx'
        command = [program, '-p', str(self.folder), '-c', str(conf)]
        return self._service(name, command, address)
