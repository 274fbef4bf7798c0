# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of sqlitestore: table, use and help agree."""

from __future__ import annotations

import pathlib
import re

import pytest

pytest.importorskip('mercurial')

from hgext3rd import sqlitestore
from hgext3rd.amalgam.options import KINDS, Option
from hgext3rd.sqlitestore.options import OPTIONS

PACKAGE = pathlib.Path(sqlitestore.__file__ or '').parent


def test_every_option_is_read_and_every_option_read_is_declared() -> None:
    read = set()
    for path in PACKAGE.rglob('*.py'):
        text = path.read_text(encoding='utf-8')
        read.update(
            re.findall(r"config\w*\(b'storage', b'(sqlite[^']*)'", text)
        )
    assert read == {option.name for option in OPTIONS}


@pytest.mark.parametrize('option', OPTIONS, ids=lambda option: option.name)
def test_help_describes_each_option_once(
    option: Option,
) -> None:
    text = sqlitestore.__doc__ or ''
    assert text.count(f'``{option.section}.{option.name}``') == 1
    assert f'(default: {option.default_text})' in text
    assert option.kind in KINDS
