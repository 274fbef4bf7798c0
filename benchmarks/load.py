# SPDX-License-Identifier: GPL-2.0-or-later
"""Many clones at once from few workers: how they end, and what they cost.

usage: python -m benchmarks.load REPOSITORY [--clients N] [--workers N]
           [--computing N]

Clones with version 1 (getbundle) are requested on all connections at the same
moment from gunicorn, once without and once with a limit of what is computed at
a time. The clients only read: what is measured is the server.
"""

from __future__ import annotations

import argparse
import collections
import http.client
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

APP = """\
from mercurial import demandimport
demandimport.disable()
from mercurial.hgweb import hgweb
application = hgweb({config!r})
"""

HGRC = """\
[extensions]
wireprotov2 =
[paths]
repo = {repo}
[wireprotov2]
limit.computing = {computing}
limit.waiting = 3600
limit.folder = {folder}
"""


def memory(pid: int) -> int:
    """Return the most bytes that a process had in memory so far."""
    for line in pathlib.Path(f'/proc/{pid}/status').read_text().splitlines():
        if line.startswith('VmHWM'):
            return int(line.split()[1]) * 1024
    return 0


def cpu(pid: int) -> float:
    """Return the CPU time of a process in seconds."""
    fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2]
    user, system = fields.split()[11:13]
    return (int(user) + int(system)) / os.sysconf('SC_CLK_TCK')


def clone_all(port: int, clients: int) -> collections.Counter[str]:
    """Request all clones at once; return how many ended in which way."""
    ends: collections.Counter[str] = collections.Counter()
    barrier = threading.Barrier(clients)

    def clone() -> None:
        conn = http.client.HTTPConnection('127.0.0.1', port, timeout=3600)
        conn.connect()
        barrier.wait()
        try:
            conn.request(
                'GET',
                '/repo?cmd=getbundle',
                headers={'X-HgArg-1': 'bundlecaps=HG20%2Cbundle2%3DHG20'},
            )
            response = conn.getresponse()
            while response.read(65536):
                pass
            ends[str(response.status)] += 1
        except OSError as e:
            ends[type(e).__name__] += 1

    threads = [threading.Thread(target=clone) for _number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ends


def serve_and_clone(
    repo: pathlib.Path, clients: int, workers: int, computing: int
) -> str:
    """Run a server and the clients; return a line about them."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        config = folder / 'web.conf'
        config.write_text(
            HGRC.format(repo=repo, computing=computing, folder=folder / 'slots')
        )
        (folder / 'app.py').write_text(APP.format(config=bytes(config)))
        with socket.create_server(('127.0.0.1', 0)) as free:
            port = free.getsockname()[1]
        command = [sys.executable, '-m', 'gunicorn', '--workers', str(workers)]
        command += ['--threads', str(clients), '--timeout', '3600']
        command += ['--bind', f'127.0.0.1:{port}', '--log-level', 'critical']
        environment = {**os.environ, 'HGRCPATH': str(config)}
        with subprocess.Popen(
            [*command, 'app:application'], cwd=folder, env=environment
        ) as server:
            try:
                children = pathlib.Path(
                    f'/proc/{server.pid}/task/{server.pid}/children'
                )
                while len(children.read_text().split()) < workers:
                    time.sleep(0.1)
                # The first request makes each worker load its modules.
                clone_all(port, workers)
                start = time.monotonic()
                ends = clone_all(port, clients)
                wall = time.monotonic() - start
                pids = [int(pid) for pid in children.read_text().split()]
                most = sum(map(memory, pids)) / 1e6
                used = sum(map(cpu, pids))
            finally:
                server.terminate()
    answers = ', '.join(f'{count} x {end}' for end, count in ends.items())
    return (
        f'limit {computing or "none"}: {answers}; {wall:.1f} s, '
        f'{used:.1f} s of CPU, {most:.0f} MB in {workers} workers'
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description='request many clones at once from few workers'
    )
    parser.add_argument('repository', type=pathlib.Path)
    parser.add_argument('--clients', type=int, default=200)
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--computing', type=int, default=2)
    options = parser.parse_args()
    repo = options.repository.resolve()
    for computing in (0, options.computing):
        line = serve_and_clone(
            repo, options.clients, options.workers, computing
        )
        print(line, flush=True)


if __name__ == '__main__':
    main()
