# SPDX-License-Identifier: GPL-2.0-or-later
"""What exists is documented, and what is documented exists."""

from __future__ import annotations

import importlib
import io
import itertools
import pathlib
import re
from collections.abc import Iterator

import docutils.core
import pytest

from hgext3rd.lfsserver.api import routes
from hgext3rd.wireprotov2.server.commands import apis

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXTENSIONS = ('sqlitestore', 'wireprotov2', 'lfsserver')
OPERATING = (ROOT / 'docs' / 'operating.rst').read_text(encoding='utf-8')
DOCUMENTS = sorted([*ROOT.glob('*.rst'), *ROOT.glob('docs/**/*.rst')])


def declared(generic: bool) -> Iterator[str]:
    """Yield ``section.name`` of the options the extensions declare."""
    for extension in EXTENSIONS:
        module = importlib.import_module(f'hgext3rd.{extension}')
        for section, items in getattr(module, 'configtable', {}).items():
            for name, item in items.items():
                if bool(item.generic) == generic:
                    yield f'{section.decode()}.{name.decode()}'


def commands() -> Iterator[str]:
    """Yield the names of the hg commands of the extensions."""
    for extension in EXTENSIONS:
        module = importlib.import_module(f'hgext3rd.{extension}')
        for names in getattr(module, 'cmdtable', {}):
            yield names.split(b'|')[0].decode()


def document(name: str) -> str:
    return (ROOT / 'docs' / name).read_text(encoding='utf-8')


def test_there_is_something_to_document() -> None:
    assert 'wireprotov2.cacher' in set(declared(False))
    assert 'lfsserver.store' in set(declared(False))
    assert 'storage.sqlite.compression' in set(declared(False))
    assert 'admin::sqlite-repack' in set(commands())


@pytest.mark.parametrize('option', sorted(declared(False)))
def test_option_is_documented(option: str) -> None:
    assert f'``{option}``' in OPERATING


@pytest.mark.parametrize('option', sorted(declared(False)))
def test_option_is_in_the_help(option: str) -> None:
    name = option.partition('.')[2]
    helps = [
        importlib.import_module(f'hgext3rd.{extension}').__doc__ or ''
        for extension in EXTENSIONS
    ]
    assert any(re.search(rf'\b{re.escape(name)}\b', text) for text in helps)


def test_documented_options_exist() -> None:
    known = set(declared(False)) | {'storage.new-repo-backend'}
    patterns = [re.compile(option) for option in declared(True)]
    sections = 'wireprotov2|lfsserver|storage'
    mentioned = set(
        re.findall(rf'``((?:{sections})\.[a-z][a-z:._-]*)``', OPERATING)
    )
    unknown = {
        option
        for option in mentioned - known
        if not any(pattern.fullmatch(option) for pattern in patterns)
    }
    assert not unknown


@pytest.mark.parametrize('command', sorted(commands()))
def test_command_is_documented(command: str) -> None:
    assert f'``hg {command}' in OPERATING


@pytest.mark.parametrize('extension', EXTENSIONS)
def test_command_has_help(extension: str) -> None:
    module = importlib.import_module(f'hgext3rd.{extension}')
    for names, entry in getattr(module, 'cmdtable', {}).items():
        assert (entry[0].__doc__ or '').strip(), names


@pytest.mark.parametrize('api', sorted(apis.APIS))
def test_wire_commands_are_specified(api: bytes) -> None:
    specification = document('wireprotov2.rst')
    specification += document('wireprotov2-cache.rst')
    assert api.decode() in specification
    for name in apis.APIS[api].commands:
        assert f'``{name.decode()}``' in specification, name


@pytest.mark.parametrize(
    'path',
    sorted('/'.join(parts) for parts in [*routes.API, *routes.TRANSFERS]),
)
def test_lfs_address_is_specified(path: str) -> None:
    # "*" stands for a segment that varies, "<oid>" or "<id>" in the text.
    pattern = re.escape(path).replace(r'\*', r'<\w+>')
    assert re.search(rf'\b{pattern}(?!\w)', document('lfs-server.rst'))


def test_links_between_documents_lead_somewhere() -> None:
    dead = []
    for path in DOCUMENTS:
        text = path.read_text(encoding='utf-8')
        targets = itertools.chain(
            re.findall(r'`[^`<]*<([^`>]+)>`_', text),
            re.findall(r'^\.\. _[^:]+: (\S+)$', text, re.M),
            re.findall(r'^\.\. (?:image|figure):: (\S+)$', text, re.M),
        )
        for target in targets:
            if '://' in target or target.startswith('mailto:'):
                continue
            if not (path.parent / target).exists():
                dead.append(f'{path.name}: {target}')
    assert not dead


@pytest.mark.parametrize('path', DOCUMENTS, ids=lambda path: path.name)
def test_document_is_valid(path: pathlib.Path) -> None:
    """docutils finds nothing to complain about."""
    complaints = io.StringIO()
    docutils.core.publish_doctree(
        path.read_text(encoding='utf-8'),
        source_path=str(path),
        settings_overrides={
            'warning_stream': complaints,
            'report_level': 2,
            'syntax_highlight': 'none',
        },
    )
    assert not complaints.getvalue()
