# SPDX-License-Identifier: GPL-2.0-or-later
"""Write a made-up history of any size as a Mercurial bundle.

The shape is that of real histories: a few files get most of the changes, most
changes are small, branches are short and merged, paths lie in directories. The
content is random words. The same arguments always give the same changesets.

This program runs in a separate process, because its memory grows with the
history. It imports nothing from the rest of the benchmarks. ``hg unbundle`` of
any Mercurial turns the bundle into a repository, whatever its storage.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import pathlib
import random
import struct
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO

NULL = b'\0' * 20
#: The revision of a file that is removed.
REMOVED = -1
#: The most side branches that are open at the same time.
MOST_BRANCHES = 4
#: The chance that a changeset begins a side branch; each ends with a merge.
BRANCHING = 0.1
#: The chance of a removed file for each added one.
REMOVING = 0.25
#: Sizes of new files: the median in bytes, and sigma of the normal
#: distribution of their logarithm.
FILE_SIZE = 1500
FILE_SIGMA = 1.3
MOST_FILE = 200_000
#: A file of this size or more gets no larger.
LARGE_FILE = 60_000
#: The same for messages.
MESSAGE_SIZE = 60
MESSAGE_SIGMA = 0.8
MOST_MESSAGE = 2000
#: Different words and lines of all content.
WORDS = 3000
LINES = 30_000
#: More hunks than this are not applied in place: each moves what follows it.
MANY_HUNKS = 50
#: A hunk of a delta: start, end, length of what replaces that.
HUNK = struct.Struct('>lll')

#: What a changegroup of version 02 says of a revision before its delta: node,
#: two parents, delta base, changeset.
Header = tuple[bytes, bytes, bytes, bytes, bytes]


@dataclass(frozen=True)
class Shape:
    """What a history looks like.

    ``imported`` is the share of the ``files`` that the first changeset adds.
    """

    changesets: int
    files: int
    imported: float = 0.05
    seed: int = 1


@dataclass
class FilePlan:
    """The revisions of a file: its parents, and the changeset of each."""

    p1s: array[int] = field(default_factory=lambda: array('l'))
    p2s: array[int] = field(default_factory=lambda: array('l'))
    links: array[int] = field(default_factory=lambda: array('l'))

    def add(self, p1: int, p2: int, link: int) -> int:
        self.p1s.append(p1)
        self.p2s.append(p2)
        self.links.append(link)
        return len(self.links) - 1


@dataclass
class _Branch:
    """A side branch: its newest changeset, and files that it may change.

    ``base`` are the revisions of these files where it began.
    """

    tip: int
    left: int
    base: dict[int, int]
    changed: dict[int, int] = field(default_factory=dict)


class Plan:
    """Which changeset changes which files, without any content.

    ``manifests[rev]`` are pairs of a file and its revision: the changes to the
    manifest of the first parent. ``changed[rev]`` are the files that the
    changeset lists.
    """

    def __init__(self, shape: Shape) -> None:
        self._rng = random.Random(shape.seed)
        self._shape = shape
        self.parents: list[tuple[int, int]] = []
        self.manifests: list[array[int]] = []
        self.changed: list[array[int]] = []
        self.files: list[FilePlan] = []
        # The main branch: its newest changeset, its files in the order of
        # popularity, where each is in that order, and the revision of each.
        self._tip = -1
        self._live: list[int] = []
        self._place: dict[int, int] = {}
        self._current: dict[int, int] = {}
        self._branches: list[_Branch] = []
        self._to_add = 0.0
        self._make()

    def _make(self) -> None:
        shape, rng = self._shape, self._rng
        imported = max(1, round(shape.files * shape.imported))
        rate = (shape.files - imported) / max(shape.changesets, 1)
        rate /= 1 - REMOVING
        self._main_changeset(imported, 0)
        while len(self.parents) < shape.changesets:
            branches = self._branches
            left = shape.changesets - len(self.parents)
            due = [b for b in branches if not b.left or left <= len(branches)]
            if due and due[0].changed:
                self._merge(due[0])
            elif branches and rng.random() < 0.3:
                self._side_changeset(rng.choice(branches))
            else:
                self._to_add += rate
                added = int(self._to_add)
                self._to_add -= added
                removed = sum(rng.random() < REMOVING for _ in range(added))
                self._main_changeset(added, removed)
                if left > 10 and rng.random() < BRANCHING * 1.5:
                    self._begin()

    def _commit(self, p1: int, p2: int, changes: dict[int, int]) -> int:
        self.parents.append((p1, p2))
        self.manifests.append(
            array('l', (n for pair in changes.items() for n in pair))
        )
        self.changed.append(array('l', changes))
        return len(self.parents) - 1

    def _width(self) -> int:
        """Return how many files a changeset edits: most often 1, seldom 40."""
        return min(int(self._rng.paretovariate(1.1)), 40)

    def _popular(self) -> int:
        live = self._live
        return live[int(len(live) * self._rng.random() ** 3)]

    def _main_changeset(self, added: int, removed: int) -> None:
        rev = len(self.parents)
        changes: dict[int, int] = {}
        for _ in range(removed):
            if len(self._live) > 10:
                number = self._rng.choice(self._live)
                changes[number] = REMOVED
                self._drop(number)
        for _ in range(self._width() if self._live else 0):
            number = self._popular()
            if number not in changes:
                before = self._current[number]
                changes[number] = self.files[number].add(before, -1, rev)
        for _ in range(added):
            number = len(self.files)
            self.files.append(FilePlan())
            changes[number] = self.files[number].add(-1, -1, rev)
            self._place[number] = len(self._live)
            self._live.append(number)
        for number, after in changes.items():
            if after != REMOVED:
                self._current[number] = after
        self._tip = self._commit(self._tip, -1, changes)

    def _drop(self, number: int) -> None:
        place = self._place.pop(number)
        last = self._live.pop()
        if last != number:
            self._live[place] = last
            self._place[last] = place
        del self._current[number]

    def _begin(self) -> None:
        """Begin a side branch at the tip of the main branch."""
        if len(self._branches) >= MOST_BRANCHES:
            return
        length = min(int(self._rng.paretovariate(1.2)), 30)
        chosen = {self._popular() for _ in range(2 * length + 2)}
        base = {number: self._current[number] for number in sorted(chosen)}
        self._branches.append(_Branch(self._tip, length, base))

    def _side_changeset(self, branch: _Branch) -> None:
        rev = len(self.parents)
        width = min(self._width(), len(branch.base))
        changes = {}
        for number in self._rng.sample(sorted(branch.base), width):
            before = branch.changed.get(number, branch.base[number])
            changes[number] = self.files[number].add(before, -1, rev)
        branch.changed.update(changes)
        branch.tip = self._commit(branch.tip, -1, changes)
        branch.left = max(branch.left - 1, 0)

    def _merge(self, branch: _Branch) -> None:
        """Merge a side branch into the main branch."""
        rev = len(self.parents)
        changes = {}
        merged = []
        for number, theirs in branch.changed.items():
            ours = self._current.get(number, REMOVED)
            if ours == branch.base[number]:
                changes[number] = theirs
            elif ours != REMOVED:
                changes[number] = self.files[number].add(ours, theirs, rev)
                merged.append(number)
        self._current.update(changes)
        self._tip = self._commit(self._tip, branch.tip, changes)
        self.changed[rev] = array('l', merged)
        self._branches.remove(branch)


class Content:
    """Names, lines and messages of random words."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._words = [self._word() for _ in range(WORDS)]
        # A few words are used most.
        total, self._weights = 0.0, []
        for rank in range(WORDS):
            total += 1 / (rank + 3)
            self._weights.append(total)
        self._lines = [self._line() for _ in range(LINES)]
        self._users = [
            b'%s %s <%s@example.com>' % (a.title(), b.title(), a)
            for a, b in zip(self.words(400), self.words(400), strict=True)
        ]

    def _word(self) -> bytes:
        letters = self._rng.choices(
            'etaoinshrdlucmfpgwybvkxjqz', range(52, 0, -2), k=1
        ) + self._rng.choices(
            'etaoinshrdlucmfpgwybvkxjqz_',
            k=min(int(self._rng.expovariate(0.2)) + 1, 14),
        )
        return ''.join(letters).encode()

    def words(self, count: int) -> list[bytes]:
        return self._rng.choices(
            self._words, cum_weights=self._weights, k=count
        )

    def _line(self) -> bytes:
        count = min(int(self._rng.expovariate(0.2)), 14)
        indent = b' ' * (4 * self._rng.choice((0, 1, 1, 2, 2, 3)))
        return indent + b' '.join(self.words(count)) + b'\n'

    def lines(self, count: int) -> bytes:
        """Return lines, of which many occur elsewhere too."""
        rng, known = self._rng, self._lines
        return b''.join(
            known[int(LINES * rng.random() ** 2)]
            if rng.random() < 0.6
            else b'    %s = %d\n'
            % (known[rng.randrange(LINES)][:-1], rng.random() * 1e6)
            for _ in range(count)
        )

    def size(self, median: float, sigma: float, most: int) -> int:
        return min(int(median * math.exp(self._rng.gauss(0, sigma))) + 1, most)

    def message(self) -> bytes:
        size = self.size(MESSAGE_SIZE, MESSAGE_SIGMA, MOST_MESSAGE)
        return b' '.join(self.words(size // 7 + 1)).capitalize()

    def user(self) -> bytes:
        return self._users[int(400 * self._rng.random() ** 4)]

    def paths(self, count: int) -> list[bytes]:
        """Return different paths in a growing tree of directories."""
        rng = self._rng
        folders = [b'']
        known: dict[bytes, None] = {}
        endings = (b'.c', b'.h', b'.py', b'.py', b'.txt', b'.html', b'.js')
        while len(known) < count:
            if rng.random() < 0.12:
                parent = folders[int(len(folders) * rng.random())]
                if parent.count(b'/') < 6:
                    # A folder never has the name of a file.
                    folders.append(
                        b'%s%s-%d/' % (parent, self.words(1)[0], len(folders))
                    )
            folder = folders[int(len(folders) * rng.random() ** 0.7)]
            name = b'_'.join(self.words(rng.choice((1, 1, 2))))
            known[folder + name + rng.choice(endings)] = None
        return list(known)


def chunk(header: Header, delta: bytes) -> Iterator[bytes]:
    """Yield a revision as a chunk of a changegroup."""
    yield struct.pack('>l', 4 + 100 + len(delta))
    yield b''.join(header)
    yield delta


def node_of(text: bytes | bytearray, p1: bytes, p2: bytes) -> bytes:
    """Return the node of a revision."""
    hasher = hashlib.sha1(min(p1, p2) + max(p1, p2))
    hasher.update(text)
    return hasher.digest()


def _nodes_of(nodes: list[bytes], p1: int, p2: int) -> tuple[bytes, bytes]:
    """Return the nodes of two parents; a negative number stands for none."""
    return (
        nodes[p1] if p1 >= 0 else NULL,
        nodes[p2] if p2 >= 0 else NULL,
    )


def full(text: bytes) -> bytes:
    """Return the delta that makes ``text`` of nothing."""
    return HUNK.pack(0, 0, len(text)) + text


class FileTexts:
    """Makes the texts of one file after another."""

    def __init__(self, content: Content, rng: random.Random) -> None:
        self._content = content
        self._rng = rng

    def _first(self) -> bytes:
        size = self._content.size(FILE_SIZE, FILE_SIGMA, MOST_FILE)
        return self._content.lines(size // 40 + 1)

    def _edit(self, text: bytes) -> tuple[bytes, bytes]:
        """Return another text, and the delta that makes it."""
        rng = self._rng
        hunks = []
        at = 0
        for _ in range(min(int(rng.paretovariate(1.3)), 8)):
            start = rng.randrange(at, len(text) + 1)
            start = text.rfind(b'\n', at, start) + 1 or at
            end = start
            removed = min(int(rng.expovariate(0.6)), 30)
            for _line in range(removed):
                end = text.find(b'\n', end) + 1 or len(text)
            added = min(int(rng.paretovariate(1.0)), 40)
            if len(text) > LARGE_FILE:
                # Files do not grow for ever.
                added = min(added, removed)
            new = self._content.lines(added)
            hunks.append((start, end, new))
            at = end
            if at >= len(text):
                break
        return _patched(text, hunks), _delta(hunks)

    def revisions(
        self, plan: FilePlan, changeset: Iterable[bytes]
    ) -> Iterator[tuple[Header, bytes]]:
        """Yield the header and the delta of each revision.

        ``changeset`` are the links of revisions to changesets.
        """
        # The last revision that is made from the text of each.
        needed = dict(zip(plan.p1s, range(len(plan.p1s)), strict=True))
        texts: dict[int, bytes] = {}
        nodes: list[bytes] = []
        for rev, link in enumerate(changeset):
            p1, p2 = plan.p1s[rev], plan.p2s[rev]
            if p1 < 0:
                text = self._first()
                delta = full(text)
                base = NULL
            else:
                text, delta = self._edit(texts[p1])
                base = nodes[p1]
                if needed[p1] == rev:
                    del texts[p1]
            if rev in needed:
                texts[rev] = text
            parents = _nodes_of(nodes, p1, p2)
            node = node_of(text, *parents)
            nodes.append(node)
            yield (node, *parents, base, link), delta


def _delta(hunks: Iterable[tuple[int, int, bytes]]) -> bytes:
    """Return hunks as a delta; adjacent ones become one.

    Mercurial takes the only hunk of a delta of nothing for a full text.
    """
    joined: list[tuple[int, int, bytes]] = []
    for start, end, new in hunks:
        if joined and joined[-1][1] == start:
            first, _end, before = joined.pop()
            start, new = first, before + new
        joined.append((start, end, new))
    return b''.join(
        HUNK.pack(start, end, len(new)) + new for start, end, new in joined
    )


def _patched(
    text: bytes | bytearray, hunks: Iterable[tuple[int, int, bytes]]
) -> bytes:
    parts = []
    last = 0
    for start, end, new in hunks:
        parts += [text[last:start], new]
        last = end
    parts.append(text[last:])
    return b''.join(parts)


class Manifest:
    """The text of a flat manifest, and changes to it."""

    def __init__(self, text: bytearray | None = None) -> None:
        self.text = bytearray() if text is None else text

    def copy(self) -> Manifest:
        return Manifest(self.text[:])

    def _find(self, path: bytes) -> tuple[int, int]:
        """Return where the line of a path begins and ends.

        Both are where the line would be if there is none.
        """
        text = self.text
        low, high = 0, len(text)
        while low < high:
            start = text.rfind(b'\n', low, (low + high) // 2) + 1 or low
            end = text.index(b'\n', start) + 1
            found = text[start : text.index(b'\0', start)]
            if found == path:
                return start, end
            if found < path:
                low = end
            else:
                high = start
        return low, low

    def change(self, lines: dict[bytes, bytes]) -> bytes:
        """Replace the lines of paths; return the delta.

        An empty line removes the path.
        """
        hunks = [(*self._find(path), lines[path]) for path in sorted(lines)]
        if len(hunks) > MANY_HUNKS:
            self.text = bytearray(_patched(self.text, hunks))
        else:
            for start, end, new in reversed(hunks):
                self.text[start:end] = new
        return _delta(hunks)


class Generator:
    """Makes the groups of a changegroup of version 02."""

    def __init__(self, shape: Shape) -> None:
        self._plan = Plan(shape)
        rng = random.Random(shape.seed + 1)
        self._content = Content(rng)
        self._texts = FileTexts(self._content, rng)
        self._rng = rng
        self._paths = self._content.paths(len(self._plan.files))
        self._nodes: list[list[bytes]] = []
        self._manifests: list[bytes] = []

    def changegroup(self) -> Iterator[bytes]:
        """Yield the bytes of the changegroup.

        Changesets come first and are known last, so the rest is written to a
        temporary file meanwhile, without links.
        """
        with (
            tempfile.TemporaryFile() as files,
            tempfile.TemporaryFile() as manifests,
        ):
            sizes = [self._write_file(files, n) for n in self._plan.files]
            self._write_manifests(manifests)
            links = []
            for header, delta in self._changesets():
                links.append(header[0])
                yield from chunk(header, delta)
            yield _END
            yield from self._linked(manifests, range(len(links)), links)
            yield _END
            starts = [0]
            for size in sizes:
                starts.append(starts[-1] + size)
            for path, number in sorted(
                zip(self._paths, range(len(sizes)), strict=True)
            ):
                yield struct.pack('>l', len(path) + 4) + path
                files.seek(starts[number])
                yield from self._linked(
                    files, self._plan.files[number].links, links
                )
                yield _END
            yield _END

    def _write_file(self, out: IO[bytes], plan: FilePlan) -> int:
        """Write the revisions of a file; return the number of bytes."""
        size = 0
        nodes = []
        unknown = (NULL for _ in plan.links)
        for header, delta in self._texts.revisions(plan, unknown):
            nodes.append(header[0])
            for data in chunk(header, delta):
                size += out.write(data)
        self._nodes.append(nodes)
        return size

    def _write_manifests(self, out: IO[bytes]) -> None:
        """Write the revisions of the manifest."""
        plan = self._plan
        flags = [b'x' * (self._rng.random() < 0.03) for _ in self._paths]
        # A manifest is needed until its last child has been made.
        last: dict[int, int] = {}
        for rev, (p1, _p2) in enumerate(plan.parents):
            last[p1] = rev
        known: dict[int, Manifest] = {-1: Manifest()}
        for rev, (p1, p2) in enumerate(plan.parents):
            manifest = known.pop(p1) if last[p1] == rev else known[p1].copy()
            lines = {}
            pairs = iter(plan.manifests[rev])
            for number, revision in zip(pairs, pairs, strict=True):
                path = self._paths[number]
                line = b''
                if revision != REMOVED:
                    node = self._nodes[number][revision].hex().encode()
                    line = b'%s\0%s%s\n' % (path, node, flags[number])
                lines[path] = line
            delta = manifest.change(lines)
            if rev in last:
                known[rev] = manifest
            parents = _nodes_of(self._manifests, p1, p2)
            node = node_of(manifest.text, *parents)
            self._manifests.append(node)
            for data in chunk((node, *parents, parents[0], NULL), delta):
                out.write(data)
        out.seek(0)

    def _changesets(self) -> Iterator[tuple[Header, bytes]]:
        plan = self._plan
        nodes: list[bytes] = []
        when = 1_000_000_000
        for rev, (p1, p2) in enumerate(plan.parents):
            when += int(self._rng.expovariate(1 / 9000))
            paths = sorted(self._paths[number] for number in plan.changed[rev])
            text = b'\n'.join(
                [
                    self._manifests[rev].hex().encode(),
                    self._content.user(),
                    b'%d 0' % when,
                    *paths,
                    b'',
                    self._content.message(),
                ]
            )
            parents = _nodes_of(nodes, p1, p2)
            node = node_of(text, *parents)
            nodes.append(node)
            yield (node, *parents, NULL, node), full(text)

    def _linked(
        self, stream: IO[bytes], revs: Iterable[int], links: list[bytes]
    ) -> Iterator[bytes]:
        """Yield chunks of revisions, linked to the changesets ``revs``."""
        for rev in revs:
            size = stream.read(4)
            yield size
            header = stream.read(100)
            yield header[:80] + links[rev]
            yield stream.read(struct.unpack('>l', size)[0] - 104)


#: The end of a group.
_END = struct.pack('>l', 0)


def write_bundle(shape: Shape, out: pathlib.Path) -> None:
    """Write a history to a bundle."""
    from mercurial import bundle2
    from mercurial import ui as uimod

    bundler = bundle2.bundle20(uimod.ui.load())
    part = bundler.newpart(b'changegroup', data=Generator(shape).changegroup())
    part.addparam(b'version', b'02')
    part.addparam(b'nbchanges', b'%d' % shape.changesets, mandatory=False)
    part.addparam(b'targetphase', b'0', mandatory=False)
    with out.open('wb') as stream:
        for data in bundler.getchunks():
            stream.write(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('out', type=pathlib.Path)
    parser.add_argument('changesets', type=int)
    parser.add_argument('files', type=int)
    parser.add_argument('--imported', type=float, default=0.05)
    parser.add_argument('--seed', type=int, default=1)
    given = parser.parse_args()
    shape = Shape(given.changesets, given.files, given.imported, given.seed)
    write_bundle(shape, given.out)


if __name__ == '__main__':
    main()
