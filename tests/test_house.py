# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of the source tree that ruff, mypy and import-linter cannot check.

Every rule is a function that takes the syntax tree of a module, or the paths of
a package, and returns what breaks the rule. The first part of this file applies
the rules to the project. The second part shows, with small examples, that each
rule finds what it must find.
"""

from __future__ import annotations

import ast
import pathlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGES = ROOT / 'hgext3rd'
EXTENSIONS = ('sqlitestore', 'wireprotov2', 'lfsserver')
SHARED = 'amalgam'

#: Modules at the top of an extension, with its ``__init__``.
MOST_TOP_MODULES = 12

#: The only modules, or folders of modules, that may hold SQL statements.
SQL_PLACES = (
    'sqlitestore/formats/statements.py',
    'sqlitestore/formats/schema.py',
    # It reads the tables of the sqlitestore that came with Mercurial.
    'sqlitestore/converting/legacy.py',
    'lfsserver/stores/',
)

#: How a string begins that is an SQL statement or a part of one.
SQL = re.compile(
    r'\s*(SELECT|INSERT\s+(OR\s+\w+\s+)?INTO|REPLACE\s+INTO|UPDATE\s+\w+\s+SET'
    r'|DELETE\s+FROM|(CREATE|DROP|ALTER)\s+\w+|ATTACH|DETACH|VACUUM|PRAGMA'
    r'|BEGIN|COMMIT|ROLLBACK|ANALYZE)\b'
)

#: Functions of ``mercurial.extensions`` that replace a part of Mercurial.
WRAPPERS = {'wrapcommand', 'wrapfilecache', 'wrapfunction'}


def parse(path: pathlib.Path) -> ast.Module:
    return ast.parse(path.read_text(encoding='utf-8'))


def modules(package: str) -> list[pathlib.Path]:
    """Return the paths of all modules of a package below hgext3rd."""
    return sorted((PACKAGES / package).rglob('*.py'))


def shown(path: pathlib.Path) -> str:
    return path.relative_to(PACKAGES).as_posix()


def docstrings(tree: ast.Module) -> set[ast.Constant]:
    """Return the nodes that are docstrings of a module, class or function."""
    owners = (
        ast.Module,
        ast.ClassDef,
        ast.FunctionDef,
        ast.AsyncFunctionDef,
    )
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, owners) and ast.get_docstring(node) is not None:
            first = node.body[0]
            assert isinstance(first, ast.Expr)
            assert isinstance(first.value, ast.Constant)
            found.add(first.value)
    return found


def strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and text of each string or bytes literal but docstrings."""
    left_out = docstrings(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or node in left_out:
            continue
        if isinstance(node.value, bytes):
            yield node.lineno, node.value.decode('latin-1')
        elif isinstance(node.value, str):
            yield node.lineno, node.value


def names_of_extensions(tree: ast.Module, others: Iterable[str]) -> list[int]:
    """Return the lines of string literals that name another extension."""
    pattern = re.compile(r'\b(%s)\b' % '|'.join(others))
    return [line for line, text in strings(tree) if pattern.search(text)]


def sql_statements(tree: ast.Module) -> list[int]:
    """Return the lines of string literals that are SQL statements."""
    return [line for line, text in strings(tree) if SQL.match(text)]


def repeated_classes(
    trees: Iterable[tuple[str, ast.Module]],
) -> dict[str, list[str]]:
    """Return the class names that several modules define, with the modules.

    Classes inside functions are made anew by each call. They do not count.
    """
    places = defaultdict(list)
    for name, tree in trees:
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name)
    return {name: where for name, where in places.items() if len(where) > 1}


def mercurial_names(tree: ast.Module) -> set[str]:
    """Return the names under which a module imports parts of Mercurial."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level:
            package = (node.module or '').split('.')[0]
            aliases = node.names if package in ('mercurial', 'hgext') else []
            found.update(alias.asname or alias.name for alias in aliases)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                package = alias.name.split('.')[0]
                if package in ('mercurial', 'hgext'):
                    found.add(alias.asname or package)
    return found


def has_code(tree: ast.Module) -> bool:
    """Tell whether a module holds more than its docstring."""
    return len(tree.body) > (ast.get_docstring(tree) is not None)


def root_name(node: ast.expr) -> str | None:
    """Return ``a`` for the expression ``a.b.c``, and None for ``a`` itself."""
    if not isinstance(node, ast.Attribute):
        return None
    value = node.value
    while isinstance(value, ast.Attribute):
        value = value.value
    return value.id if isinstance(value, ast.Name) else None


def changes_to_mercurial(tree: ast.Module) -> list[int]:
    """Return the lines that wrap, replace or delete a part of Mercurial."""
    imported = mercurial_names(tree)
    found = []
    for node in ast.walk(tree):
        targets: list[ast.expr] = []
        if isinstance(node, (ast.Assign, ast.Delete)):
            targets = node.targets
        elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
            targets = [node.target]
        elif isinstance(node, ast.Call):
            function = node.func
            name = getattr(function, 'attr', getattr(function, 'id', None))
            if name in WRAPPERS:
                found.append(node.lineno)
            elif name in ('setattr', 'delattr'):
                first = node.args[0]
                if isinstance(first, ast.Name) and first.id in imported:
                    found.append(node.lineno)
                targets = [first]
        for target in targets:
            if root_name(target) in imported:
                found.append(target.lineno)
    return found


# The rules, applied to the project.


@pytest.mark.parametrize('package', EXTENSIONS)
def test_init_modules_of_subpackages_hold_no_code(package: str) -> None:
    """Importing one module of a folder must not import the others."""
    for folder in {path.parent for path in modules(package)}:
        path = folder / '__init__.py'
        assert folder == PACKAGES / package or not has_code(parse(path)), path


@pytest.mark.parametrize('package', [*EXTENSIONS, SHARED])
def test_few_modules_are_at_the_top_of_a_package(package: str) -> None:
    top = list((PACKAGES / package).glob('*.py'))
    assert 0 < len(top) <= MOST_TOP_MODULES


@pytest.mark.parametrize('package', [*EXTENSIONS, SHARED])
def test_a_class_name_stands_once_in_a_package(package: str) -> None:
    trees = [(shown(path), parse(path)) for path in modules(package)]
    assert repeated_classes(trees) == {}


@pytest.mark.parametrize('package', [*EXTENSIONS, SHARED])
def test_no_string_names_another_extension(package: str) -> None:
    others = [name for name in EXTENSIONS if name != package]
    found = {
        shown(path): lines
        for path in modules(package)
        if (lines := names_of_extensions(parse(path), others))
    }
    assert found == {}


@pytest.mark.parametrize('package', [*EXTENSIONS, SHARED])
def test_sql_stands_only_in_the_modules_that_hold_all_statements(
    package: str,
) -> None:
    found = {
        shown(path): lines
        for path in modules(package)
        if not shown(path).startswith(SQL_PLACES)
        and (lines := sql_statements(parse(path)))
    }
    assert found == {}


@pytest.mark.parametrize('package', [*EXTENSIONS, SHARED])
def test_only_hooks_modules_change_mercurial(package: str) -> None:
    found = {
        shown(path): lines
        for path in modules(package)
        if shown(path) != f'{package}/hooks.py'
        and (lines := changes_to_mercurial(parse(path)))
    }
    assert found == {}


@pytest.mark.parametrize(
    'folder',
    [f'hgext3rd/{name}' for name in (*EXTENSIONS, SHARED)]
    + ['benchmarks', 'scripts', 'tests'],
)
def test_every_module_says_what_it_is_for(folder: str) -> None:
    for path in (ROOT / folder).rglob('*.py'):
        tree = parse(path)
        assert ast.get_docstring(tree) or not tree.body, path.relative_to(ROOT)


# Examples for the rules.


@pytest.mark.parametrize(
    ('source', 'expected'),
    [('', False), ('"""Rules."""', False), ('import os', True)],
)
def test_the_rule_for_init_modules_finds_code(
    source: str, expected: bool
) -> None:
    assert has_code(ast.parse(source)) is expected


def test_the_rule_for_names_finds_strings_and_bytes_but_not_docstrings() -> (
    None
):
    tree = ast.parse(
        '"""Compare lfsserver."""\n'
        'module = "hgext3rd.lfsserver.hooks"\n'
        'config = b"lfsserver"\n'
        'own = "my_lfsserver2"\n'
    )
    assert names_of_extensions(tree, ['lfsserver', 'sqlitestore']) == [2, 3]


@pytest.mark.parametrize(
    'text',
    [
        'SELECT rev FROM loose',
        '\\n  INSERT OR IGNORE INTO path VALUES (?)',
        'UPDATE path SET head = ?',
        'DELETE FROM frame',
        'CREATE TABLE a (b)',
        'PRAGMA user_version',
        'BEGIN IMMEDIATE',
        'VACUUM',
    ],
)
def test_the_rule_for_sql_finds_a_statement(text: str) -> None:
    assert sql_statements(ast.parse(f'x = "{text}"')) == [1]
    assert sql_statements(ast.parse(f'x = f"{text} {{name}}"')) == [1]


@pytest.mark.parametrize('text', ['select a file', 'UPDATED', 'DELETE /locks'])
def test_the_rule_for_sql_ignores_other_text(text: str) -> None:
    assert sql_statements(ast.parse(f'x = "{text}"')) == []


def test_the_rule_for_classes_finds_a_name_in_two_modules() -> None:
    trees = [
        ('a', ast.parse('class X: pass\nclass Y: pass')),
        ('b', ast.parse('class X: pass\ndef f():\n  class Y: pass')),
    ]
    assert repeated_classes(trees) == {'X': ['a', 'b']}


@pytest.mark.parametrize(
    'line',
    [
        'extensions.wrapfunction(hg, "clone", f)',
        'wrapcommand(table, b"clone", f)',
        'hg.clone = f',
        'handlers.Handler.timeout = 5',
        'mercurial.hg.clone = f',
        'setattr(hg, "clone", f)',
        'del hg.clone',
        'def f():\n    hg.count += 1',
    ],
)
def test_the_rule_for_changes_finds_a_change(line: str) -> None:
    source = (
        'import mercurial.hg\n'
        'from mercurial import extensions, hg\n'
        'from mercurial.hgweb import server as handlers\n'
    )
    assert len(changes_to_mercurial(ast.parse(source + line))) == 1


@pytest.mark.parametrize('line', ['repo.x = 1', 'hg = 1', 'y = hg.clone'])
def test_the_rule_for_changes_ignores_own_objects(line: str) -> None:
    source = 'from mercurial import hg\n'
    assert changes_to_mercurial(ast.parse(source + line)) == []
