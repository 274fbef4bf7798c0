# SPDX-License-Identifier: GPL-2.0-or-later
"""Run a command again and again until it succeeds.

usage: until.py COMMAND [ARGUMENT...]

What the command prints is discarded. The script fails after ten minutes: the
command never succeeds.
"""

from __future__ import annotations

import subprocess
import sys
import time

deadline = time.monotonic() + 600
while subprocess.run(sys.argv[1:], capture_output=True, check=False).returncode:
    if time.monotonic() > deadline:
        sys.exit(f'waited in vain for {" ".join(sys.argv[1:])}')
    time.sleep(0.1)
