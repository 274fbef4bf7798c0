# SPDX-License-Identifier: GPL-2.0-or-later
"""The censor generation: a digest of what has been censored in a repository.

A response that was computed before a file revision was censored still shows the
revision. So the key of every cached response covers this digest. It is taken
over the set of censored revisions, not over their number or order, so that
replicas that censored the same share keys. Nothing here knows keys.
"""

from __future__ import annotations

import hashlib
from typing import Any

from mercurial import error, scmutil
from mercurial.node import hex

#: A file in the store, with one line ``NODE PATH`` for each censored revision.
FILE = b'wireprotov2-censored'


def generation(repo: Any) -> bytes:
    """Return the digest (20 bytes), or no bytes if nothing was censored."""
    recorded = repo.unfiltered().svfs.tryread(FILE)
    if not recorded:
        return b''
    lines = sorted(set(recorded.splitlines()))
    return hashlib.blake2b(b'\n'.join(lines), digest_size=20).digest()


def record(repo: Any, path: bytes, nodes: set[bytes]) -> None:
    """Remember that file revisions of ``path`` have been censored.

    The caller holds the store lock.
    """
    vfs = repo.unfiltered().svfs
    known = vfs.tryread(FILE)
    lines = set(known.splitlines())
    lines.update(b'%s %s' % (hex(node), path) for node in nodes)
    with vfs(FILE, b'wb', atomictemp=True) as stream:
        stream.write(b''.join(line + b'\n' for line in sorted(lines)))


def wrapped(
    orig: Any, ui: Any, repo: Any, path: bytes, *args: Any, **kw: Any
) -> Any:
    """Run the censor command, then record the revisions that it erased."""
    revs = args[0] if args else kw.get('revs', ())
    result = orig(ui, repo, path, *args, **kw)
    nodes = set()
    unfiltered = repo.unfiltered()
    match = scmutil.match(repo[None], (path,))
    name = match.files()[0]
    for rev in scmutil.revrange(repo, revs):
        try:
            nodes.add(unfiltered[rev][name].filenode())
        except error.LookupError:
            continue
    record(repo, name, nodes)
    return result
