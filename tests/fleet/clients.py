# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients that use a fleet until they are told to stop, and judge every answer.

The content of each file follows from its name, so a client can tell whether what
it got is right. A command must succeed, or end with a message in one line that
begins with ``abort:``, and in time. Nothing here knows services or faults.
"""

from __future__ import annotations

import abc
import collections
import os
import pathlib
import shutil
import threading
import time
from collections.abc import Callable, Mapping

from commands import Commands, Hanging
from machines import content

#: Seconds after which a command counts as hanging. A partition of a minute and
#: the time that TCP takes to notice its end must fit.
PATIENCE = 240

#: Seconds that a client waits after a command that failed.
PAUSE = 0.3

#: How clones are made, in turn.
CLONES: tuple[tuple[str, ...], ...] = (
    (),
    ('--config', 'wireprotov2.client=no'),
    ('--lazy',),
    ('--config', 'storage.new-repo-backend=revlogv1'),
    ('--stream',),
)


class Results:
    """What the commands of all clients ended with."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self.counts: collections.Counter[str] = collections.Counter()
        self.messages: collections.Counter[str] = collections.Counter()
        self.failures: list[str] = []
        #: The changesets of which a push has said that they are there.
        self.pushed: list[str] = []

    def count(self, what: str) -> None:
        """Count a command that succeeded."""
        with self._lock:
            self.counts[what] += 1
            self._changed.notify_all()

    def wait_for_exchanges(self, count: int) -> None:
        """Wait until so many clones, pulls and pushes more have succeeded."""

        def exchanges() -> int:
            return sum(
                number
                for what, number in self.counts.items()
                if what.startswith(('clone', 'pull', 'push'))
                and not what.endswith('refused')
            )

        with self._changed:
            wanted = exchanges() + count
            self._changed.wait_for(
                lambda: exchanges() >= wanted or bool(self.failures), PATIENCE
            )

    def refuse(self, what: str, message: str) -> None:
        """Count a command that failed with a clear message."""
        with self._lock:
            self.counts[f'{what} refused'] += 1
            self.messages[message] += 1

    def fail(self, what: str, text: str) -> None:
        """Note something that must not happen."""
        with self._lock:
            self.failures.append(f'{what}: {text}')


class Client(threading.Thread, abc.ABC):
    """Works in a folder of its own until ``stopped`` is set."""

    def __init__(
        self,
        name: str,
        folder: pathlib.Path,
        url: str,
        environment: Mapping[str, str],
        results: Results,
        stopped: threading.Event,
    ) -> None:
        super().__init__(name=name)
        self.folder = folder
        self.url = url
        self.commands = Commands(folder, {**os.environ, **environment})
        self.results = results
        self.stopped = stopped
        #: how many commands were refused
        self.refused = 0

    def run(self) -> None:
        """Work again and again. Whatever this raises is a failure."""
        number = 0
        while not self.stopped.is_set():
            number += 1
            refused = self.refused
            try:
                self.work(number)
                if self.refused > refused:
                    # People wait before they try again.
                    self.stopped.wait(PAUSE)
            except Exception as error:
                self.results.fail(self.name, repr(error))
        self.commands.close()

    @abc.abstractmethod
    def work(self, number: int) -> None:
        """Do one thing. ``number`` counts from 1."""

    def hg(self, what: str, *arguments: str, path: str = '.') -> str | None:
        """Run a command; return its output, None if it was refused clearly."""
        began = time.monotonic()
        words = ('--cwd', str(self.folder / path), *arguments)
        try:
            status, text = self.commands.run(words, PATIENCE)
        except Hanging as error:
            self.results.fail(what, f'hangs: {arguments} {error}')
            return None
        taken = time.monotonic() - began
        with (self.folder / f'{self.name}.log').open('a') as log:
            log.write(f'{taken:6.1f} s: {" ".join(arguments)}\n{text}')
        lines = [x for x in text.splitlines() if x.startswith('abort:')]
        if lines and lines[0].endswith(':'):
            # The reason is in the lines before or after.
            lines = [text.strip()]
        if 'Traceback' in text or 'unknown exception' in text:
            self.results.fail(what, f'traceback: {arguments} {text}')
        elif not status or (status == 1 and not text):
            # Without output, 1 means that there was nothing to do.
            self.results.count(what)
            return text
        elif status > 0 and len(lines) == 1:
            self.results.refuse(what, lines[0])
            self.refused += 1
        else:
            self.results.fail(what, f'ends with {status}: {arguments} {text}')
        return None

    def check_files(self, path: pathlib.Path) -> None:
        """Compare the files in a working directory with what they must hold."""
        for file in path.iterdir():
            if file.name.startswith('.hg'):
                continue
            if file.read_bytes() != content(file.name):
                self.results.fail(self.name, f'wrong content: {file}')


class Pusher(Client):
    """Commits a text and a large file to a branch of its own, and pushes."""

    def work(self, number: int) -> None:
        """Push what was committed, also by earlier calls."""
        root = self.folder / self.name
        if not root.is_dir() and not self._begin(root):
            return
        name = f'{self.name}-{number}'
        for file in (f'text-{name}', f'large-{name}.bin'):
            (root / file).write_bytes(content(file))
        if number % 5 == 0:
            # A file that was pushed before gets another name.
            self.hg('rename', 'rename', f'text-{self.name}-{number - 1}',
                    f'old-{number}', path=self.name)  # fmt: skip
            (root / f'old-{number}').write_bytes(content(f'old-{number}'))
        if (
            self.hg('commit', 'commit', '-qAm', name, path=self.name)
            is not None
        ):
            self.push()

    def push(self) -> bool:
        """Push; return whether it succeeded."""
        node = self.hg('log', 'log', '-r', '.', '-T', '{node}', path=self.name)
        done = self.hg(
            'push', 'push', '-q', '--new-branch', '-r', '.', self.url,
            path=self.name,
        )  # fmt: skip
        if done is not None and node:
            self.results.pushed.append(node)
        return done is not None

    def _begin(self, root: pathlib.Path) -> bool:
        if self.hg('clone', 'clone', '-q', self.url, self.name) is None:
            shutil.rmtree(root, ignore_errors=True)
            return False
        self.hg('branch', 'branch', '-q', self.name, path=self.name)
        return True


class Reader(Client):
    """Clones in one way after the other, and looks at what arrived."""

    def work(self, number: int) -> None:
        """Clone, update and verify."""
        name = f'{self.name}-{number}'
        how = CLONES[number % len(CLONES)]
        kind = ' '.join(('clone', *how[-1:]))
        if self.hg(kind, 'clone', '-qU', *how, self.url, name) is not None:
            if self.hg('update', 'update', '-qr', 'tip', path=name) is not None:
                self.check_files(self.folder / name)
            self.verify(name)
        shutil.rmtree(self.folder / name, ignore_errors=True)

    def verify(self, name: str) -> None:
        """Check a clone that has succeeded: nothing in it may be wrong."""
        if self.hg('verify', 'verify', '-q', '--no-lfs', path=name) is None:
            self.results.fail('verify', f'{name} is damaged')

    def read_everything(self, url: str) -> None:
        """Clone a repository, and look at every head; nothing may be refused."""
        name = f'{self.name}-everything'
        refused = self.refused
        self.hg('clone', 'clone', '-qU', url, name)
        self.verify(name)
        heads = self.hg(
            'log', 'log', '-r', 'head()', '-T', '{node}\n', path=name
        )
        for head in (heads or '').split():
            self.hg('update', 'update', '-qCr', head, path=name)
            self.check_files(self.folder / name)
        if self.refused > refused or not heads:
            self.results.fail('afterwards', f'not everything is in {url}')
        shutil.rmtree(self.folder / name, ignore_errors=True)


class Puller(Client):
    """Pulls into the same repository again and again."""

    def work(self, number: int) -> None:
        """Pull, and look at the newest changeset."""
        root = self.folder / self.name
        if not root.is_dir():
            if self.hg('clone', 'clone', '-q', self.url, self.name) is None:
                shutil.rmtree(root, ignore_errors=True)
            return
        pulled = self.hg('pull', 'pull', '-q', path=self.name)
        if pulled is None:
            return
        if self.hg('update', 'update', '-qCr', 'tip', path=self.name) is None:
            return
        self.check_files(root)


#: The clients at work at the same time: the name and the class of each.
ALL: tuple[tuple[str, Callable[..., Client]], ...] = (
    ('alice', Pusher),
    ('bob', Pusher),
    ('carol', Reader),
    ('dave', Puller),
)
