# SPDX-License-Identifier: GPL-2.0-or-later
"""Break a fleet while clients use it, and check what is left.

usage: fleet.py [--minutes N] [--folder DIR] [--port N]

Each service is killed and started again, Redis is filled, and the machine of the
replica is cut off, once or again and again for N minutes. Meanwhile clients clone,
pull and push changesets and large files. Prints what happened. The status is 0 if
no client got wrong data, hung or ended without a clear message, and if everything
is consistent afterwards, 1 if not, and 77 if machines can be told apart by no
network namespaces and everything else was well.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from clients import ALL, Pusher, Reader, Results
from machines import Fleet

#: The status that says that a part was skipped.
SKIPPED = 77

#: Set in the process that has a network of its own.
APART = 'AMALGAM_FLEET_APART'

#: Ways to get a network namespace: for root, and for others.
UNSHARE = (['unshare', '-n'], ['unshare', '-rn'])


class Faults:
    """What is done to a fleet. Each method ends when all is well again."""

    def __init__(self, fleet: Fleet, seconds: float, outage: float) -> None:
        self._fleet = fleet
        #: How long services are away, and how long machines are apart.
        self._seconds = seconds
        self._outage = outage

    def all(self) -> list[str]:
        """Return the names of the faults that this fleet can have."""
        names = ['kill primary', 'kill worker', 'kill redis', 'kill s3']
        names += ['kill replica', 'fill redis']
        if self._fleet.holder is not None:
            names.append('part machines')
        return names

    def inject(self, name: str) -> None:
        """Let a fault happen."""
        kind, what = name.split()
        if name == 'kill worker':
            self._kill_worker()
        elif name == 'fill redis':
            self._fill()
        elif name == 'part machines':
            self._part()
        else:
            service = self._fleet.services[what]
            assert kind == 'kill'
            service.kill()
            time.sleep(self._seconds)
            service.start()

    def recover(self) -> None:
        """Roll back what a killed process left, as an operator would."""
        for name in ('primary', 'replica'):
            root = self._fleet.folder / name
            if (root / '.hg' / 'store' / 'journal').exists():
                # If it is in use, the command waits, and finds nothing.
                said = self._fleet.hg('-R', name, 'recover', check=False)
                print(said.strip().replace('\n', '; '))

    def _kill_worker(self) -> None:
        """Kill a worker of the primary; gunicorn starts another one."""
        process = self._fleet.services['primary'].process
        assert process is not None
        children = subprocess.run(
            ['ps', '-o', 'pid=', '--ppid', str(process.pid)],
            capture_output=True,
            check=False,
        ).stdout.split()
        for child in children[:1]:
            os.kill(int(child), signal.SIGKILL)
        time.sleep(self._seconds)

    def _fill(self) -> None:
        """Let Redis refuse everything that takes memory."""
        import redis

        host, port = self._fleet.redis.split(':')
        with redis.Redis(host=host, port=int(port)) as client:
            client.config_set('maxmemory-policy', 'noeviction')
            client.config_set('maxmemory', '1')
            time.sleep(self._seconds)
            client.config_set('maxmemory', '0')

    def _part(self) -> None:
        self._fleet.part()
        time.sleep(self._outage)
        self._fleet.join()


def settle(fleet: Fleet, results: Results, pushers: list[Pusher]) -> None:
    """Check that everything is consistent when nothing is broken any more."""
    for pusher in pushers:
        # Who prepares a push with a replica that is behind has to repeat it.
        fleet.hg('-R', 'primary', 'admin::replicas', '--sync', check=False)
        if (pusher.folder / pusher.name).is_dir() and not pusher.push():
            results.fail('afterwards', f'{pusher.name} cannot push')
        pusher.commands.close()
    replicas = fleet.hg(
        '-R', 'primary', 'admin::replicas', '--sync', check=False
    )
    if 'up to date' not in replicas:
        results.fail('afterwards', f'the replica is behind: {replicas}')
    histories = {}
    for name in ('primary', 'replica'):
        verified = fleet.hg('-R', name, 'verify', '-q', '--no-lfs', check=False)
        if verified:
            results.fail('afterwards', f'{name} is damaged: {verified}')
        histories[name] = set(
            fleet.hg('-R', name, 'log', '-T', '{node} {phase}\n').splitlines()
        )
    if histories['primary'] != histories['replica']:
        results.fail('afterwards', 'the replica differs')
    nodes = {line.split()[0] for line in histories['primary']}
    lost = set(results.pushed) - nodes
    if lost:
        results.fail('afterwards', f'pushes are lost: {sorted(lost)}')
    lfs = fleet.hg(
        '-R', 'primary', '--config', 'extensions.lfsserver=',
        'admin::lfs-verify', check=False,
    )  # fmt: skip
    if ' 0 corrupt' not in lfs:
        results.fail('afterwards', f'large files are damaged: {lfs}')
    look_for_leftovers(fleet, results)


def look_for_leftovers(fleet: Fleet, results: Results) -> None:
    """Check that nothing is left of what was interrupted."""
    for name in ('primary', 'replica'):
        for path in (fleet.folder / name / '.hg').rglob('*'):
            # Mercurial writes these before it begins a transaction.
            harmless = path.name in ('journal.desc', 'journal.dirstate')
            if (
                path.name in ('lock', 'wlock')
                or path.name.startswith(('journal', 'tmp', '.tmp'))
                and not harmless
            ):
                results.fail('leftover', str(path))
    for name in ('primary', 'replica'):
        text = fleet.services[name].log.read_text(errors='replace')
        if 'Traceback' in text:
            start = text.index('Traceback')
            results.fail('log', f'{name}: {text[start : start + 4000]}')


def attack(fleet: Fleet, minutes: float, seed: int, results: Results) -> None:
    """Let clients work while faults happen, then check everything."""
    short = not minutes
    faults = Faults(fleet, 0.5 if short else 5, 3 if short else 60)
    stopped = threading.Event()
    clients = []
    for number, (name, kind) in enumerate(ALL):
        folder = fleet.folder / 'clients'
        folder.mkdir(exist_ok=True)
        clients.append(
            kind(
                name,
                folder,
                fleet.url(number),
                fleet.environment,
                results,
                stopped,
            )
        )
    for client in clients:
        client.start()
    order = random.Random(seed)
    ends = time.monotonic() + minutes * 60
    first = True
    try:
        while True:
            names = faults.all()
            order.shuffle(names)
            for name in names:
                # All work before the first fault, and some between others.
                results.wait_for_exchanges(4 if first else 2)
                first = False
                print(f'{time.strftime("%H:%M:%S")} {name}', flush=True)
                faults.inject(name)
                faults.recover()
            if time.monotonic() > ends:
                break
    finally:
        stopped.set()
        for client in clients:
            client.join()
    print(f'{time.strftime("%H:%M:%S")} check', flush=True)
    settle(fleet, results, [c for c in clients if isinstance(c, Pusher)])
    for client in clients:
        if isinstance(client, Reader):
            for address in (fleet.direct, fleet.remote):
                client.read_everything(f'http://{address}/project')
            client.commands.close()


def show(results: Results) -> None:
    """Print what the commands ended with."""
    for what, count in sorted(results.counts.items()):
        print(f'{count:6} {what}')
    for message, count in results.messages.most_common():
        print(f'{count:6} {message}')
    for failure in results.failures:
        print(f'FAILED {failure}')


def network() -> list[str] | None:
    """Return the command that gives a process a network, None without one."""
    for command in UNSHARE:
        try:
            done = subprocess.run(
                [*command, 'ip', 'link', 'add', 'x0', 'type', 'veth']
                + ['peer', 'name', 'x1'],
                env={**os.environ, 'PATH': f'{os.environ["PATH"]}:/usr/sbin'},
                capture_output=True,
                check=False,
            )
        except OSError:
            return None
        if not done.returncode:
            return command
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description='Break a fleet.')
    parser.add_argument('--minutes', type=float, default=0)
    parser.add_argument('--folder', type=pathlib.Path)
    parser.add_argument('--port', type=int, default=18000)
    parser.add_argument('--seed', type=int, default=0)
    options = parser.parse_args()
    if APART not in os.environ:
        command = network()
        if command is not None:
            os.environ[APART] = '1'
            os.execvp(command[0], [*command, sys.executable, *sys.argv])
    apart = APART in os.environ
    folder = options.folder or pathlib.Path(tempfile.mkdtemp(prefix='fleet'))
    folder.mkdir(exist_ok=True)
    results = Results()
    fleet = Fleet(folder, options.port, apart)
    try:
        fleet.start()
        attack(fleet, options.minutes, options.seed, results)
    finally:
        fleet.stop()
    show(results)
    if results.failures:
        print(f'the logs are in {folder}')
        return 1
    if options.folder is None:
        shutil.rmtree(folder)
    if not apart:
        print('no permission for network namespaces: machines were not parted')
        return SKIPPED
    return 0


if __name__ == '__main__':
    sys.exit(main())
