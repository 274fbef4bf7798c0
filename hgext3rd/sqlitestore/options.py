# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of this extension, as data.

``__init__`` registers them and builds its help text from them. Code reads an
option with ``ui.config`` and does not repeat its default. Imported whenever the
extension is loaded: keep it light.
"""

from __future__ import annotations

from ..amalgam.options import Option

OPTIONS: tuple[Option, ...] = (
    Option(
        section='storage',
        name='sqlite.compression',
        default=b'zstd',
        kind='text',
        help="""How new repositories compress file history: ``zstd``, ``zlib``
        or ``none``. An existing repository keeps the compression it was created
        with.""",
    ),
    Option(
        section='storage',
        name='sqlite.synchronous',
        default=b'full',
        kind='text',
        help="""When SQLite waits until data is on the disk: ``off``,
        ``normal``, ``full`` or ``extra``. With ``full``, the files and
        manifests of a commit survive a power failure once it has written the
        changelog. Mercurial itself does not wait for the changelog.""",
    ),
    Option(
        section='storage',
        name='sqlite.busy-timeout',
        default=b'60',
        kind='number',
        help="""How many seconds to wait while another process, such as a backup
        tool, has the database locked.""",
    ),
    Option(
        section='storage',
        name='sqlite.auto-repack',
        default=b'suggest',
        kind='text',
        help="""What to do, at most once per command, when a transaction ends and
        many revisions were added since the last :hg:`admin::sqlite-repack`:
        ``yes`` starts a repack in the background, ``suggest`` prints a message
        that recommends one, ``no`` does nothing.""",
    ),
    Option(
        section='storage',
        name='sqlite.keep-wal',
        default=False,
        kind='boolean',
        help="""Whether Mercurial leaves it to another program to move the
        write-ahead log into the database, also when the last process closes it.
        Set it on servers where Litestream replicates the database, for all
        processes that use the repository. Without such a program, the log
        grows without limit.""",
    ),
)
