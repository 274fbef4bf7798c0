# SPDX-License-Identifier: GPL-2.0-or-later
"""Stands in for ssh, and cuts connections, for tests of resuming.

    cutting_ssh.py CUTS LOG HOST COMMAND

Runs COMMAND in $TESTTMP as Mercurial's dummyssh does. The file CUTS has a number
in each line: connection N is cut when so many bytes have come from the server,
which is killed. Further connections are left alone. LOG gets a line for each
connection.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys


def next_cut(path: str) -> int | None:
    """Take the first number out of a file; return None if it has none."""
    with open(path, encoding='ascii') as file:
        first, *rest = [*file.read().split(), '']
    with open(path, 'w', encoding='ascii') as file:
        file.write('\n'.join(rest))
    return int(first) if first else None


def main() -> None:
    cuts, log, _host, command = sys.argv[1:]
    os.chdir(os.environ['TESTTMP'])
    left = next_cut(cuts)
    with open(log, 'a', encoding='ascii') as file:
        file.write('whole\n' if left is None else f'cut after {left} bytes\n')
    server = subprocess.Popen(
        command, shell=True, stdout=subprocess.PIPE, start_new_session=True
    )
    assert server.stdout is not None
    out = server.stdout.fileno()
    with contextlib.suppress(BrokenPipeError):
        while data := os.read(out, 65536 if left is None else min(left, 65536)):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            if left is not None:
                left -= len(data)
                if not left:
                    os.killpg(server.pid, signal.SIGKILL)
                    sys.exit(255)
    sys.exit(server.wait())


if __name__ == '__main__':
    main()
