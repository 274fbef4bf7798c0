# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether modules can be imported that requests import.

A module that a server cannot import is an error of the first request that needs
it, and with a cache it is no error at all: nothing is cached then.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator

from mercurial import demandimport
from mercurial.i18n import _
from mercurial.utils import stringutil

from .findings import Finding, ok, problem

#: Where packages come from that this project does not install by itself.
EXTRAS = {
    'redis': b'redis',
    'obstore': b'objectstore',
    'prometheus_client': b'metrics',
}


def missing(name: str) -> bytes | None:
    """Return why a module cannot be imported, or None if it can."""
    with demandimport.deactivated():
        try:
            importlib.import_module(name)
        except ImportError as exc:
            return stringutil.forcebytestr(exc).splitlines()[0]
    return None


def judge(needed_by: bytes, names: Iterable[str]) -> Iterator[Finding]:
    """Yield which of the modules ``names`` cannot be imported."""
    failed = [(name, why) for name in names if (why := missing(name))]
    # Modules of this project may only lack a package that is missing.
    packages = [pair for pair in failed if '.' not in pair[0]]
    for name, why in packages or failed:
        extra = EXTRAS.get(name.partition('.')[0])
        package = b'hg-amalgam[%s]' % extra if extra else name.encode()
        yield problem(
            _(b'%s cannot be imported: %s') % (name.encode(), why),
            _(b"install it for the Python of the server: pip install '%s'")
            % package
            if '.' not in name
            else _(b'install hg-amalgam anew for the Python of the server'),
        )
    if not failed:
        yield ok(_(b'all modules for %s are there') % needed_by)
