# SPDX-License-Identifier: GPL-2.0-or-later
"""Pull bundles for Mercurial without this extension, kept current.

A server sends one of them instead of computing a bundle, to a client that has
what comes before it and wants what is in it; the client then asks for the rest.
Mercurial itself does that (``server.pullbundle``), from the list
``.hg/pullbundles.manifest``. Each bundle has the changesets of a closed segment,
so it never gets old. Nothing here answers requests, except ``find``, which keeps
Mercurial from sending what a client must not have.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mercurial import bundlecaches, error, util
from mercurial.i18n import _
from mercurial.node import hex
from mercurial.utils import stringutil

from .. import censoring
from ..access import requester
from ..segments.cut import Segment
from . import bundlelist, bundlemaking
from .bundlelist import BundleChanges

#: The list, in ``.hg``.
LIST = b'pullbundles.manifest'

#: What the names of files begin with.
PREFIX = b'pull-'

#: How many closed segments have no bundle: the last ones. Clients that pull often
#: lack a small part of them only, and would get the whole.
SKIPPED = 1


@dataclass(frozen=True, slots=True)
class PullBundle:
    """The bundle of a segment in the format ``spec``, which is in file ``name``.

    Who has ``bases`` can apply it; ``heads`` are those of the segment.
    """

    segment: Segment
    spec: bytes
    name: bytes
    bases: Sequence[bytes]

    def line(self) -> bytes:
        """Return the line of the list."""
        heads = b';'.join(map(hex, self.segment.heads))
        line = b'%s/%s BUNDLESPEC=%s heads=%s' % (
            bundlelist.FOLDER,
            self.name,
            self.spec,
            heads,
        )
        if self.bases:
            line += b' bases=' + b';'.join(map(hex, self.bases))
        return b'%s %s' % (line, bundlelist.MARK)


def usable(repo: Any, specs: Sequence[bytes]) -> list[bytes]:
    """Return those of the specifications that pull bundles can have."""
    found = []
    for spec in specs:
        parsed = bundlecaches.parsebundlespec(repo, spec, strict=False)
        if parsed.version == b'v2' and b'stream' not in parsed.params:
            found.append(spec)
    return found


def refresh(
    repo: Any, specs: Sequence[bytes], closed: Sequence[Segment]
) -> BundleChanges:
    """Make the bundles that are missing; remove those not needed any more.

    ``closed`` are the segments of the public history. The caller has the lock
    of ``bundlelist``. Raises ``Abort``; what was made before stays.
    """
    public = repo.filtered(b'immutable')
    folder = bundlelist.folder(repo)
    changes = BundleChanges()
    wanted = list(_wanted(public, usable(repo, specs), closed))
    there = _files(folder)
    missing = [bundle for bundle in wanted if bundle.name not in there]
    failure = None
    with repo.ui.makeprogress(
        _(b'making pull bundles'), unit=_(b'bundles'), total=len(missing)
    ) as progress:
        for bundle in missing:
            try:
                _make(repo, bundle, folder)
            except (OSError, error.Abort) as e:
                failure = bundlelist.failure(_(b'pull bundle'), bundle.spec, e)
                break
            there.add(bundle.name)
            changes.made += 1
            progress.increment()
    lines = [bundle.line() for bundle in wanted if bundle.name in there]
    bundlelist.write(repo, LIST, lines)
    # A server that has found one of these in the list before either has it open
    # or computes a bundle.
    for name in there - {bundle.name for bundle in wanted}:
        util.tryunlink(os.path.join(folder, name))
        changes.removed += 1
    if failure is not None:
        raise failure
    return changes


def _files(folder: bytes) -> set[bytes]:
    """Return the names of the files with pull bundles."""
    try:
        return {n for n in os.listdir(folder) if n.startswith(PREFIX)}
    except FileNotFoundError:
        return set()


def _wanted(
    public: Any, specs: Sequence[bytes], closed: Sequence[Segment]
) -> Iterator[PullBundle]:
    """Yield the bundles that there should be, in the order of the list."""
    if not specs:
        return
    node = public.changelog.node
    parents = public.changelog.parentrevs
    censored = censoring.generation(public)
    for segment in closed[: len(closed) - SKIPPED]:
        revs = set(segment.revs())
        outside = {p for rev in revs for p in parents(rev) if p >= 0} - revs
        bases = [node(rev) for rev in sorted(outside)]
        for spec in specs:
            kind = re.sub(b'[^a-z0-9]+', b'-', spec.lower())
            # Whatever the content depends on.
            digest = hashlib.blake2b(
                b'1\n%s%s\n%s' % (segment.name, spec, censored), digest_size=16
            ).digest()
            name = b'%s%s-%s.hg' % (PREFIX, kind, hex(digest))
            yield PullBundle(segment, spec, name, bases)


def _make(repo: Any, bundle: PullBundle, folder: bytes) -> None:
    os.makedirs(folder, exist_ok=True)
    with bundlelist.temporary(folder) as temporary:
        path = os.path.join(temporary, bundle.name)
        # Mercurial asks for the phases of the last bundle only.
        spec = b'%s;phases=yes' % bundle.spec
        heads = bundle.segment.heads
        bundlemaking.make_part(repo, spec, bundle.bases, heads, path)
        os.rename(path, os.path.join(folder, bundle.name))


def find(orig: Any, repo: Any, proto: Any, opts: Any, *args: Any) -> Any:
    """Find the bundle for a request with ``orig``, Mercurial's function.

    Return None if there is none. ``opts`` are the arguments of ``getbundle``.
    """
    if (
        not opts.get(b'cg', True)
        or opts.get(b'narrow')
        or opts.get(b'includepats')
        or opts.get(b'excludepats')
        or not requester.served(repo).may_have_segments()
    ):
        return None
    try:
        return orig(repo, proto, opts, *args)
    except (ValueError, LookupError, error.LookupError) as e:
        # A changeset in the list was stripped, or somebody edited the list.
        repo.ui.log(
            b'wireprotov2',
            b'%s cannot be used: %s\n',
            LIST,
            stringutil.forcebytestr(e),
        )
        return None
