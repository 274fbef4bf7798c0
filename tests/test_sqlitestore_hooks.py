# SPDX-License-Identifier: GPL-2.0-or-later
"""hooks.py lists every change that sqlitestore makes to Mercurial."""

from __future__ import annotations

import ast
import pathlib
import re
from collections.abc import Iterator

import pytest

pytest.importorskip('mercurial')

from mercurial import extensions

from hgext3rd import sqlitestore
from hgext3rd.sqlitestore import hooks

PACKAGE = pathlib.Path(sqlitestore.__file__ or '').parent

# What Mercurial offers for changing its modules, and where it keeps functions
# that extensions add.
CHANGES = {
    'afterloaded',
    'featuresetupfuncs',
    'fileprefetchhooks',
    'when_loaded',
    *(name for name in dir(extensions) if name.startswith('wrap')),
}


def nodes() -> Iterator[tuple[pathlib.Path, str, ast.AST]]:
    """Yield (file, function, node) of everything in functions of the package.

    The function is the outermost one.
    """
    for path in sorted(PACKAGE.rglob('*.py')):
        tree = ast.parse(path.read_bytes())
        for function in tree.body:
            if isinstance(function, ast.FunctionDef | ast.ClassDef):
                for node in ast.walk(function):
                    yield path, function.name, node


def test_only_hooks_change_modules() -> None:
    """No other module wraps a function of Mercurial or registers one."""
    found = {
        path.name
        for path, _function, node in nodes()
        if isinstance(node, ast.Attribute) and node.attr in CHANGES
    }
    assert found == {'hooks.py'}


def test_every_change_of_a_class_is_listed() -> None:
    """The objects that get another class are those in the table."""
    found = {
        f'{path.stem}.{function}'
        for path, function, node in nodes()
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Attribute)
        and target.attr == '__class__'
        # An object that changes its own class is not one of Mercurial's.
        and ast.unparse(target) != 'self.__class__'
    }
    listed = re.findall(r' ``(\w+\.\w+)``\n', hooks.__doc__ or '')
    assert found == set(listed)
