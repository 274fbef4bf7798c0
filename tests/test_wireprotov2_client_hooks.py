# SPDX-License-Identifier: GPL-2.0-or-later
"""hooks.py lists every change that wireprotov2 makes to Mercurial."""

from __future__ import annotations

import ast
import pathlib
import re
from collections.abc import Iterator

import pytest

pytest.importorskip('mercurial')

from mercurial import extensions, httppeer

from hgext3rd import wireprotov2
from hgext3rd.wireprotov2 import hooks

PACKAGE = pathlib.Path(wireprotov2.__file__ or '').parent

#: The functions of Mercurial that change its modules, and the attributes to
#: which extensions add functions.
CHANGES = {
    'afterloaded',
    'fileprefetchhooks',
    'when_loaded',
    *(name for name in dir(extensions) if name.startswith('wrap')),
}


def nodes() -> Iterator[tuple[str, ast.AST]]:
    """Yield (module, node) of the whole package."""
    for path in sorted(PACKAGE.rglob('*.py')):
        relative = path.relative_to(PACKAGE).with_suffix('')
        for node in ast.walk(ast.parse(path.read_bytes())):
            yield '.'.join(relative.parts), node


def test_only_hooks_change_modules() -> None:
    """No other module wraps a function of Mercurial or registers one."""
    found = {
        module
        for module, node in nodes()
        if isinstance(node, ast.Attribute) and node.attr in CHANGES
    }
    assert found == {'hooks'}


def test_peers_are_changed_once() -> None:
    """Also in a process that uses HTTP with and without TLS."""
    for _ in range(2):
        hooks._setup_http()
    for name in ('performhandshake', '_make_peer'):
        # The last one is Mercurial's own function.
        assert len(extensions.getwrapperchain(httppeer, name)) == 2, name


def test_modules_that_change_a_class_are_listed() -> None:
    """Objects get another class only in the modules that the table names."""
    found = {
        module
        for module, node in nodes()
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Attribute) and target.attr == '__class__'
    }
    listed = re.findall(r'``((?:\w+\.)?\w+)``[,;.]?', hooks.__doc__ or '')
    assert found <= set(listed)
    assert all(
        (PACKAGE / (name.replace('.', '/') + '.py')).exists() for name in listed
    )
