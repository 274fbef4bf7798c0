# SPDX-License-Identifier: GPL-2.0-or-later
"""All files state the same supported versions; one file pins the tools.

The matrix in .gitlab-ci.yml is the authoritative list of supported versions;
constraints.txt is the only place with versions of tools.
"""

from __future__ import annotations

import itertools
import json
import pathlib
import re
from typing import Any

import pytest
import tomli

from hgext3rd.amalgam import metadata

ROOT = pathlib.Path(__file__).resolve().parent.parent
#: The separators of a list of versions in prose.
BETWEEN = r'(?:, | and | to |, and )'


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding='utf-8')


def supported(name: str) -> list[str]:
    """Return one list of the matrix: ``PYTHON`` or ``HG_VERSION``."""
    (found,) = re.findall(
        rf'^ +(?:- )?{name}: (\[.*\])$', read('.gitlab-ci.yml'), re.M
    )
    versions: list[str] = json.loads(found)
    return versions


PYTHONS = supported('PYTHON')
MERCURIALS = supported('HG_VERSION')


@pytest.fixture(scope='module')
def pyproject() -> dict[str, Any]:
    return tomli.loads(read('pyproject.toml'))


def after(version: str) -> str:
    """Return the version after this one, for instance 7.3 after 7.2."""
    major, minor = version.split('.')
    return f'{major}.{int(minor) + 1}'


def versions_after(word: str, text: str) -> list[str]:
    """Return the versions in the first list that follows ``word`` in a text.

    "Python 3.10 to 3.12" gives the first and the last version.
    """
    number = r'\d+\.\d+(?![.\d])'
    found = re.search(rf'\b{word} ({number}(?:{BETWEEN}{number})*)', text)
    assert found, f'no versions of {word}'
    return re.findall(number, found[1])


def test_matrix_is_sorted() -> None:
    assert PYTHONS == sorted(PYTHONS, key=lambda v: int(v.split('.')[1]))
    assert MERCURIALS == sorted(MERCURIALS)


def test_tox_has_the_matrix() -> None:
    (pythons,) = re.findall(r'py\{([\d,]+)\}', read('tox.ini'))
    (series,) = re.findall(r'-hg\{([\d,]+)\}', read('tox.ini'))
    assert pythons.split(',') == [v.replace('.', '') for v in PYTHONS]
    assert series.split(',') == [v.replace('.', '') for v in MERCURIALS]
    for version in MERCURIALS:
        name = version.replace('.', '')
        assert f'hg{name}: HG_VERSION = {version}\n' in read('tox.ini')


def test_distribution_has_the_matrix(pyproject: dict[str, Any]) -> None:
    project = pyproject['project']
    start = 'Programming Language :: Python :: 3.'
    minors = [c for c in project['classifiers'] if c.startswith(start)]
    assert [c.split(' :: ')[-1] for c in minors] == PYTHONS
    assert project['requires-python'] == f'>={PYTHONS[0]}'
    first, last = MERCURIALS[0], MERCURIALS[-1]
    assert f'mercurial>={first},<{after(last)}' in project['dependencies']


def test_extensions_state_the_matrix() -> None:
    assert metadata.testedwith.decode().split() == MERCURIALS
    assert metadata.minimumhgversion.decode() == MERCURIALS[0]


def test_tools_check_for_the_oldest_python(pyproject: dict[str, Any]) -> None:
    tools = pyproject['tool']
    assert tools['mypy']['python_version'] == PYTHONS[0]
    oldest = 'py' + PYTHONS[0].replace('.', '')
    assert tools['ruff']['target-version'] == oldest


def test_readme_has_the_matrix() -> None:
    text = ' '.join(read('README.rst').split())
    series = versions_after('Mercurial', text)
    assert (series[0], series[-1]) == (MERCURIALS[0], MERCURIALS[-1])
    pythons = versions_after('C?Python', text)
    assert pythons[0] == PYTHONS[0]
    # "3.10 or newer" names no last version.
    assert pythons[-1] in (PYTHONS[0], PYTHONS[-1])


# -- versions of tools


def normal(name: str) -> str:
    """Return the name of a package without its extras, in lower case."""
    return re.split(r'[^\w.-]', name)[0].replace('_', '-').lower()


def pinned() -> dict[str, str]:
    """Return constraints.txt: package -> version."""
    pins: dict[str, str] = {}
    for line in read('constraints.txt').splitlines():
        if line and not line.startswith('#'):
            found = re.fullmatch(r'([\w.-]+)==([\w.]+)', line)
            assert found, f'not a pin: {line}'
            name, version = found.groups()
            assert normal(name) not in pins, f'{name} is pinned twice'
            pins[normal(name)] = version
    return pins


def test_every_tool_is_pinned(pyproject: dict[str, Any]) -> None:
    extras = pyproject['project']['optional-dependencies']
    needed = itertools.chain(extras['dev'], extras['docs'], extras['bench'])
    tools = {normal(name) for name in needed} - {'hg-amalgam'}
    assert set(pinned()) == tools


def test_tools_are_pinned_in_one_place() -> None:
    pip = [line for line in read('Makefile').splitlines() if 'pip ' in line]
    assert any(
        'install' in line and '-c constraints.txt' in line for line in pip
    )
    # The hook runs the Makefile instead of versions of its own.
    hooks = read('.pre-commit-config.yaml')
    assert re.findall(r'repo: (.*)', hooks) == ['local']
    assert set(re.findall(r'entry: (\w+)', hooks)) == {'make'}
    assert 'rev:' not in hooks


# -- addresses


def test_addresses_are_of_one_project(pyproject: dict[str, Any]) -> None:
    urls = pyproject['project']['urls']
    assert set(urls) == {
        'Homepage', 'Source', 'Issues', 'Changelog', 'Documentation',
    }  # fmt: skip
    assert urls['Issues'] == metadata.buglink.decode()
    for url in urls.values():
        assert url.startswith(urls['Homepage'])
