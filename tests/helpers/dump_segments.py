#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Print the segments of a repository and write each as a bundle file.

usage: dump_segments.py REPO FOLDER CHANGESETS [LEVEL]

A segment is closed when it has CHANGESETS changesets. LEVEL is the compression
level of zstd. Each printed line describes a segment: its file, the number of
its changesets, its revisions, whether it is closed, and its short name.
"""

from __future__ import annotations

import os
import sys

from mercurial import extensions, ui

try:
    from mercurial.repo.factory import repository
except ImportError:  # hg <= 7.1
    from mercurial.hg import repository

from hgext3rd.wireprotov2.access import requester
from hgext3rd.wireprotov2.segments import bundle, cut
from hgext3rd.wireprotov2.segments.history import History

path, folder, changesets, *level = sys.argv[1:]
cut.LEAST_CHANGESETS = int(changesets)
found = ui.ui.load()
extensions.loadall(found)
repo = repository(found, os.fsencode(path))
os.makedirs(folder, exist_ok=True)
history = History(requester.served(repo))
listing = history.segments()
for number, segment in enumerate(listing.segments()):
    name = f'{number:02}.hg'
    same = history.find(segment.name)
    print(
        name,
        segment.changesets,
        ' '.join(f'{start}-{stop - 1}' for start, stop in segment.ranges),
        'open' if segment is listing.rest else 'closed',
        segment.name.hex()[:12] if same is not None else 'renumbered',
    )
    payload = history.payload(segment, int(level[0]) if level else 3)
    with payload.stream, open(os.path.join(folder, name), 'wb') as out:
        container = bundle.container(repo.ui, payload.stream)
        while data := container.read(100_000):
            out.write(data)
