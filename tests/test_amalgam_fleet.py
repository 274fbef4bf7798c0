# SPDX-License-Identifier: GPL-2.0-or-later
"""A fleet as docs/deploy sets it up, whose machines and services fail."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest
from conftest import PATIENCE, ROOT, free_port

#: The status of a run that could not part the machines.
SKIPPED = 77


@pytest.mark.needs('gunicorn', 'nginx', 'redis', 's3')
def test_nothing_is_lost_or_wrong(tmp_path: pathlib.Path) -> None:
    """Each service is killed once, and the machines are parted."""
    done = subprocess.run(
        [sys.executable, str(ROOT / 'tests' / 'fleet' / 'fleet.py')]
        + ['--folder', str(tmp_path / 'fleet'), '--port', str(free_port())]
        + ['--minutes', os.environ.get('AMALGAM_FLEET_MINUTES', '0')],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE
        + 60 * float(os.environ.get('AMALGAM_FLEET_MINUTES', '0')),
        check=False,
    )
    text = done.stdout.decode('utf-8', 'replace')
    if done.returncode == SKIPPED:
        pytest.skip('no permission for network namespaces: not parted')
    assert done.returncode == 0, text
