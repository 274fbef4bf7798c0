# SPDX-License-Identifier: GPL-2.0-or-later
"""What a cache saves and stores when it keeps only what was asked for again.

usage: python -m benchmarks.admission REPOSITORY

The last pushes of a history arrive one after the other. After each, some
developers pull what they lack, and jobs of CI pull the newest changeset without
history. Each request is computed once, for its size and CPU time; then the same
requests are given to caches that admit after 1, 2 and 3 of them. Pulls of whole
segments are not among them, since those are always admitted.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

WORKERS = 4
DEVELOPERS = 30
#: How many changesets a push has, and how likely a developer pulls after it.
PUSHED = 3
PULLS = 0.15

#: Identifies a response: the revision before, and the newest one.
Key = tuple[int, int]


@dataclass(frozen=True)
class Cost:
    """Bytes and CPU seconds of a response."""

    size: int
    seconds: float


def requests(first: int, last: int, jobs: int) -> Iterator[Key]:
    """Yield the requests after each push, in order."""
    chance = random.Random(0)
    at = [first] * DEVELOPERS
    for head in range(first + PUSHED, last + 1, PUSHED):
        for _job in range(jobs):
            yield head - 1, head
        for number, known in enumerate(at):
            if chance.random() < PULLS:
                yield known, head
                at[number] = head


class Server:
    """Computes responses as a server does, without HTTP."""

    def __init__(self, path: pathlib.Path) -> None:
        from mercurial import extensions, hg
        from mercurial import ui as uimod

        ui = uimod.ui.load()
        ui.setconfig(b'extensions', b'wireprotov2', b'')
        extensions.loadall(ui)
        self.repo: Any = hg.repository(ui, os.fsencode(path))
        self.costs: dict[Key, Cost] = {}

    def cost(self, key: Key) -> Cost:
        """Return the cost of what a pull from one revision to another asks."""
        if key not in self.costs:
            start = time.process_time()
            size = sum(map(len, self._bodies(*key)))
            self.costs[key] = Cost(size, time.process_time() - start)
        return self.costs[key]

    def _bodies(self, known: int, head: int) -> Iterator[bytes]:
        from hgext3rd.wireprotov2.access import requester
        from hgext3rd.wireprotov2.proto import streams
        from hgext3rd.wireprotov2.server.commands import apis, registry

        node = self.repo.changelog.node
        revisions = [
            {
                b'type': b'changesetdagrange',
                b'roots': [node(known)],
                b'heads': [node(head)],
            }
        ]
        api = apis.API_0003
        request = registry.Request(requester.served(self.repo), api)
        for name, fields in (
            (b'changesetdata', {b'parents', b'phase', b'revision'}),
            (b'filesdata', {b'parents', b'revision', b'linknode'}),
        ):
            command = api.commands[name]
            given: dict[bytes, Any] = {
                b'revisions': revisions,
                b'fields': fields,
            }
            if b'haveparents' in command.args:
                given[b'haveparents'] = True
            args = command.check_args(given)
            values = {k.decode(): v for k, v in args.items()}
            yield from streams.encoded(
                command.run(request, **values), b'zstd-8mb'
            )


def replay(server: Server, asked: list[Key], after: int) -> str:
    """Give the requests to a cache; return a line about it."""
    chance = random.Random(1)
    demand: list[Counter[Key]] = [Counter() for _worker in range(WORKERS)]
    kept: set[Key] = set()
    hits = 0
    seconds = 0.0
    for key in asked:
        if key in kept:
            hits += 1
            continue
        seconds += server.cost(key).seconds
        counts = demand[chance.randrange(WORKERS)]
        counts[key] += 1
        if counts[key] >= after:
            kept.add(key)
    size = sum(server.cost(key).size for key in kept)
    return (
        f'admit-after {after}: {hits / len(asked):.0%} hits, '
        f'{seconds:.2f} s of CPU, {len(kept)} entries, {size / 1e6:.2f} MB'
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description='compare caches that keep responses from the n-th request'
    )
    parser.add_argument('repository', type=pathlib.Path)
    parser.add_argument('--changesets', type=int, default=600)
    options = parser.parse_args()
    server = Server(options.repository)
    last = len(server.repo) - 1
    for jobs in (0, 2, 8):
        asked = list(requests(last - options.changesets, last, jobs))
        for key in asked:
            server.cost(key)
        without = sum(server.cost(key).seconds for key in asked)
        again = sum(1 for count in Counter(asked).values() if count > 1)
        print(
            f'{jobs} jobs of CI a push: {len(asked)} requests, '
            f'{len(set(asked))} different, {again} of them asked again, '
            f'{without:.2f} s of CPU without a cache'
        )
        for after in (1, 2, 3):
            print('  ' + replay(server, asked, after), flush=True)


if __name__ == '__main__':
    main()
