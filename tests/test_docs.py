# SPDX-License-Identifier: GPL-2.0-or-later
"""The documents are complete, repeat nothing, and name only existing things.

Each document is read with docutils, as a source host reads it. Directives of
Sphinx are removed first; ``make docs`` checks them.
"""

from __future__ import annotations

import collections
import functools
import importlib
import io
import pathlib
import re
import sys
from collections.abc import Iterator

import docutils.core
import pytest
from docutils import nodes

from hgext3rd.amalgam import doctor
from hgext3rd.lfsserver.api import endpoint, routes
from hgext3rd.wireprotov2.server.commands import apis

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'scripts'))

import generate_docs

EXTENSIONS = ('sqlitestore', 'wireprotov2', 'lfsserver')
DOCUMENTS = tuple(sorted([*ROOT.glob('*.rst'), *ROOT.glob('docs/*.rst')]))

#: Directives that docutils does not know, up to the end of their content.
SPHINX = re.compile(
    r'^\.\. (?:toctree|automodule)::.*\n(?:[ \t]+.*\n|\n)*', re.M
)

#: Options of Mercurial in sections that the extensions use as well.
MERCURIAL_OPTIONS = {'storage.new-repo-backend'}


# What has to be documented


@functools.cache
def registered() -> tuple[frozenset[str], tuple[re.Pattern[str], ...]]:
    """Return the names of all options, and the patterns among them."""
    names = set()
    patterns = []
    for extension in EXTENSIONS:
        module = importlib.import_module(f'hgext3rd.{extension}')
        for section, items in module.configtable.items():
            for name, item in items.items():
                full = f'{section.decode()}.{name.decode()}'
                if item.generic:
                    patterns.append(re.compile(full))
                else:
                    names.add(full)
    return frozenset(names), tuple(patterns)


def is_option(name: str) -> bool:
    """Return whether an extension or Mercurial has the option ``name``."""
    names, patterns = registered()
    return (
        name in names
        or name in MERCURIAL_OPTIONS
        or any(pattern.fullmatch(name) for pattern in patterns)
    )


def commands() -> Iterator[tuple[str, str]]:
    """Yield the name and the help text of each hg command."""
    for extension in EXTENSIONS:
        module = importlib.import_module(f'hgext3rd.{extension}')
        for names, entry in module.cmdtable.items():
            yield names.split(b'|')[0].decode(), entry[0].__doc__ or ''
    for name, entry in doctor.cmdtable.items():
        yield name.decode(), entry[0].__doc__ or ''


def wire_commands() -> set[str]:
    return {
        name.decode() for api in apis.APIS.values() for name in api.commands
    }


def lfs_addresses() -> set[str]:
    """Return the addresses of LFS requests; ``*`` stands for a variable."""
    return {
        '/'.join((*prefix, *path))
        for prefix, table in (
            (routes.API_PREFIXES[0], routes.API),
            (endpoint.TRANSFER_PREFIX, routes.TRANSFERS),
        )
        for path in table
    }


# What the documents say


@functools.cache
def document(path: pathlib.Path) -> tuple[nodes.document, str]:
    """Return a document as a tree, and the complaints of docutils."""
    complaints = io.StringIO()
    tree = docutils.core.publish_doctree(
        SPHINX.sub('', path.read_text(encoding='utf-8')),
        source_path=str(path),
        settings_overrides={
            'warning_stream': complaints,
            'report_level': 2,
            'syntax_highlight': 'none',
        },
    )
    return tree, complaints.getvalue()


def subjects(path: pathlib.Path) -> Iterator[str]:
    """Yield the literals that a document is about.

    These are the literals in titles, in the terms of definition lists and in
    the first column of tables. Something is described twice if it is a subject
    twice.
    """
    tree, _complaints = document(path)
    places: list[nodes.Node] = [
        *tree.findall(nodes.title),
        *tree.findall(nodes.term),
        *(row[0] for row in tree.findall(nodes.row)),
    ]
    for place in places:
        for literal in place.findall(nodes.literal):
            yield ' '.join(literal.astext().split())


@functools.cache
def described() -> dict[str, collections.Counter[str]]:
    """Return how often each document has each literal as a subject."""
    return {
        path.relative_to(ROOT).as_posix(): collections.Counter(subjects(path))
        for path in DOCUMENTS
    }


def where(subject: str) -> list[str]:
    """Return the documents that describe ``subject``, as often as they do."""
    return [
        name
        for name, counter in described().items()
        for _time in range(counter[subject])
    ]


def literals() -> Iterator[tuple[str, str]]:
    """Yield each literal of the documents with the name of the document."""
    for path in DOCUMENTS:
        for literal in document(path)[0].findall(nodes.literal):
            yield path.name, ' '.join(literal.astext().split())


def snippets() -> Iterator[tuple[str, str]]:
    """Yield ``section.name`` of each line in samples of configuration."""
    texts = [
        (path.name, block.astext())
        for path in DOCUMENTS
        for block in document(path)[0].findall(nodes.literal_block)
        # Included programs assign to variables.
        if 'python' not in block['classes']
    ]
    texts += [
        (path.name, path.read_text(encoding='utf-8'))
        for path in ROOT.glob('docs/deploy/*.conf')
    ]
    for name, text in texts:
        section = ''
        for line in text.splitlines():
            if found := re.fullmatch(r'\s*\[([\w.-]+)\]\s*', line):
                section = found[1]
            elif found := re.match(r'\s*([a-z][\w.:-]*) *=', line):
                yield name, f'{section}.{found[1]}'


# Options


def test_options_page_is_what_the_script_writes() -> None:
    written = generate_docs.TARGET.read_text(encoding='utf-8')
    assert written == generate_docs.options_page(), 'run "make docs"'


def test_tables_hold_every_registered_option() -> None:
    names, _patterns = registered()
    assert 'wireprotov2.cacher' in names
    assert 'lfsserver.store' in names
    assert 'storage.sqlite.compression' in names
    in_tables = [
        f'{option.section}.{option.name}'
        for extension in EXTENSIONS
        for option in generate_docs.option_table(extension)
        if not option.pattern
    ]
    assert sorted(in_tables) == sorted(names)


@pytest.mark.parametrize('option', sorted(registered()[0]))
def test_option_is_documented_once(option: str) -> None:
    assert where(option) == ['docs/options.rst']


@pytest.mark.parametrize('option', sorted(registered()[0]))
def test_option_is_in_the_help(option: str) -> None:
    name = option.partition('.')[2]
    helps = [
        importlib.import_module(f'hgext3rd.{extension}').__doc__ or ''
        for extension in EXTENSIONS
    ]
    assert any(re.search(rf'\b{re.escape(name)}\b', text) for text in helps)


def test_options_in_prose_exist() -> None:
    unknown = {
        (name, literal)
        for name, literal in literals()
        if re.fullmatch(
            r'(?:wireprotov2|lfsserver|storage)\.[a-z][a-z:._-]*', literal
        )
        and not is_option(literal)
    }
    assert not unknown


def test_options_in_samples_exist() -> None:
    sections = {name.partition('.')[0] for name in registered()[0]}
    found = {
        (name, option)
        for name, option in snippets()
        if option.partition('.')[0] in sections
    }
    assert ('README.rst', 'wireprotov2.cacher') in found
    assert not {pair for pair in found if not is_option(pair[1])}


def test_defaults_are_stated_in_one_document() -> None:
    """A default in prose would contradict the table as soon as that changes."""
    stated = {
        path.name
        for path in DOCUMENTS
        if re.search(r'\bDefaults?(?: is)?\b\W*:', path.read_text('utf-8'))
    }
    assert stated <= {'options.rst'}


# Commands and addresses


@pytest.mark.parametrize('command', sorted(name for name, _help in commands()))
def test_command_is_documented_once(command: str) -> None:
    assert where(f'hg {command}') == ['docs/commands.rst']


@pytest.mark.parametrize('command', sorted(commands()), ids=lambda c: c[0])
def test_command_has_help(command: tuple[str, str]) -> None:
    assert command[1].strip()


def test_commands_in_prose_exist() -> None:
    known = {name for name, _help in commands()}
    mentioned = {
        (path.name, command)
        for path in DOCUMENTS
        for command in re.findall(
            r'\b(admin::[a-z-]+|debugwireprotov2)\b',
            path.read_text(encoding='utf-8'),
        )
    }
    assert not {pair for pair in mentioned if pair[1] not in known}


@pytest.mark.parametrize('command', sorted(wire_commands()))
def test_wire_command_is_specified_once(command: str) -> None:
    assert len(where(command)) == 1
    assert where(command)[0] in {
        'docs/wireprotov2.rst',
        'docs/wireprotov2-cache.rst',
    }


@pytest.mark.parametrize('api', sorted(apis.APIS))
def test_api_is_specified(api: bytes) -> None:
    text = document(ROOT / 'docs' / 'wireprotov2.rst')[0].astext()
    assert api.decode() in text


def test_wire_addresses_are_specified_once() -> None:
    for address in (
        '/api/',
        '/api/<name>/ro/<command>',
        '/api/<name>/rw/<command>',
        '/api/<name>/ro/multirequest',
        '/api/<name>/rw/multirequest',
        '/api/metrics',
    ):
        assert where(address) == ['docs/wireprotov2.rst'], address


def test_lfs_addresses_are_specified_once() -> None:
    specified = [
        re.sub(r'<\w+>', '*', subject)
        for name, counter in described().items()
        for subject in counter.elements()
        if re.match(r'\.(?:git/info|hg)/lfs/', subject)
    ]
    assert sorted(specified) == sorted(lfs_addresses())


def test_cache_is_warmed_by_one_hook() -> None:
    """Prose and help texts name the same hook.

    ``changegroup`` would miss drafts that become public.
    """
    texts = [path.read_text(encoding='utf-8') for path in DOCUMENTS]
    texts += [text for _name, text in commands()]
    hooks = {
        hook
        for text in texts
        for hook in re.findall(r'(\w+)\.\w+ *= *hg admin::wire-warm', text)
    }
    assert hooks == {'txnclose'}


# Documents


@pytest.mark.parametrize('path', DOCUMENTS, ids=lambda path: path.name)
def test_document_is_valid(path: pathlib.Path) -> None:
    """docutils finds nothing to complain about."""
    assert not document(path)[1]


def anchors(path: pathlib.Path) -> set[str]:
    """Return the fragments that links to a document may have."""
    tree, _complaints = document(path)
    names: set[str] = set()
    for element in tree.findall(nodes.Element):
        names.update(element.get('ids', ()))
    return names


def test_links_between_documents_lead_somewhere() -> None:
    dead = []
    for path in DOCUMENTS:
        tree, _complaints = document(path)
        targets = [
            *(node.get('refuri', '') for node in tree.findall(nodes.reference)),
            *(node['uri'] for node in tree.findall(nodes.image)),
        ]
        for target in targets:
            if not target or '://' in target or target.startswith('mailto:'):
                continue
            name, _, fragment = target.partition('#')
            file = (path.parent / name).resolve()
            if not file.is_file() or (
                fragment and fragment not in anchors(file)
            ):
                dead.append(f'{path.name}: {target}')
    assert not dead


def test_files_in_prose_exist() -> None:
    """Paths that begin with a folder of this project lead to files."""
    absent = set()
    for name, literal in literals():
        if (
            re.fullmatch(
                r'(?:hgext3rd|tests|docs|scripts|benchmarks|\.ci)/[\w./-]+',
                literal,
            )
            and not (ROOT / literal).exists()
        ):
            absent.add((name, literal))
    assert not absent


def test_architecture_lists_every_folder() -> None:
    """Each folder of an extension is a row of a table, and no other is."""
    listed = [
        subject
        for subject in subjects(ROOT / 'docs' / 'architecture.rst')
        if subject.endswith('/')
    ]
    folders = [
        f'{path.parent.name}/'
        for extension in EXTENSIONS
        for path in ROOT.glob(f'hgext3rd/{extension}/*/__init__.py')
    ]
    assert sorted(listed) == sorted(folders)


def test_every_document_is_a_page() -> None:
    index = (ROOT / 'docs' / 'index.rst').read_text(encoding='utf-8')
    pages = set(re.findall(r'^   ([a-z][\w/-]*)$', index, re.M))
    files = {
        path.relative_to(ROOT / 'docs').with_suffix('').as_posix()
        for path in ROOT.glob('docs/**/*.rst')
    }
    assert files == pages | {'index'}
