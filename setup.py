# SPDX-License-Identifier: GPL-2.0-or-later
"""Tell setuptools the version, which is in hgext3rd/amalgam/metadata.py.

Everything else about the distribution is in pyproject.toml.
"""

from __future__ import annotations

import pathlib
import re

from setuptools import setup

METADATA = pathlib.Path(__file__).parent / 'hgext3rd/amalgam/metadata.py'


def read_version() -> str:
    """Return the version as text.

    The module has it as a bytes literal, because Mercurial expects that.  It is
    read and not imported, because a build environment has no Mercurial.
    """
    text = METADATA.read_text(encoding='utf-8')
    match = re.search(r"^__version__\s*=\s*b?['\"]([^'\"]+)['\"]", text, re.M)
    if match is None:
        raise SystemExit(f'no __version__ in {METADATA}')
    return match.group(1)


setup(version=read_version())
