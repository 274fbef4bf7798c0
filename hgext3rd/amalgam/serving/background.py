# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands that a process starts and does not wait for."""

from __future__ import annotations

import os
import sys
from typing import Any

from mercurial import encoding
from mercurial.utils import procutil


def start(repo: Any, *args: bytes) -> None:
    """Start an hg command with the arguments ``args`` in a repository.

    It has the extensions that are enabled here: the configuration of a server
    may be the only one that enables them.
    """
    command = [hg_program(), b'-R', repo.root]
    for name, value in repo.ui.configitems(b'extensions', ignoresub=True):
        command += [b'--config', b'extensions.%s=%s' % (name, value)]
    procutil.runbgcommand([*command, *args], encoding.environ)


def hg_program() -> bytes:
    """Return the path of the ``hg`` that belongs to this process.

    Mercurial looks for it in ``$PATH``. A WSGI server in a virtual environment
    may find none there, or one of another environment, and has its own beside
    its Python.
    """
    main = getattr(sys.modules['__main__'], '__file__', None) or ''
    beside = os.path.join(os.path.dirname(sys.executable), 'hg')
    if (
        b'HG' not in encoding.environ
        and os.path.basename(main) != 'hg'
        and os.access(beside, os.X_OK)
    ):
        return os.fsencode(beside)
    return bytes(procutil.hgexecutable())
