# SPDX-License-Identifier: GPL-2.0-or-later
"""Write docs/options.rst from the option tables of the extensions.

``make docs`` runs this script before Sphinx. tests/test_docs.py fails if the
file in the repository differs from the output of this script.
"""

from __future__ import annotations

import importlib
import pathlib
import re
import sys
import textwrap
from collections.abc import Sequence

from mercurial import demandimport

# This script uses every module that it imports, so lazy imports gain nothing.
demandimport.disable()

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from hgext3rd.amalgam.options import Option  # noqa: E402

EXTENSIONS = ('sqlitestore', 'wireprotov2', 'lfsserver')
TARGET = ROOT / 'docs' / 'options.rst'
WIDTH = 79

#: Stands for a space at which no line may end.
_SPACE = '\0'

HEADER = """\
.. This file is written by scripts/generate_docs.py from the option tables of
   the extensions.  Change hgext3rd/*/options.py and run "make docs".

=======
Options
=======

Every option of the three extensions, once.  ``hg help -e sqlitestore`` (or
``wireprotov2``, ``lfsserver``) shows the same text.  All of them are set in
Mercurial's configuration files; an option written as ``section.name`` here is
the line ``name = value`` under ``[section]`` there.

The kind of an option says what its value looks like:

"""

#: What each kind of value looks like in a configuration file.
KINDS = {
    'boolean': '``yes`` or ``no``, or another word that Mercurial accepts',
    'integer': 'a whole number',
    'number': 'a number, with or without a fraction',
    'size': 'a number of bytes, or a number with a unit such as ``64 MB``',
    'text': 'a word or a line of text, as the option says',
    'path': 'the path of a file or a folder',
    'list': 'words separated by commas or spaces',
}

#: One paragraph for each extension.
INTRODUCTIONS = {
    'sqlitestore': (
        'Repositories are created in SQLite if ``new-repo-backend = sqlite`` '
        "is set in section ``[storage]``. That option is Mercurial's own."
    ),
    'wireprotov2': (
        'Servers and clients read the same section. The sections '
        '`Caching <operating.rst#caching>`__ and '
        '`Several machines <operating.rst#several-machines>`__ of the guide '
        'for operators say which options belong together.'
    ),
    'lfsserver': 'Only servers read these options.',
}


def option_table(extension: str) -> Sequence[Option]:
    """Return the options of an extension in the order of its table."""
    module = importlib.import_module(f'hgext3rd.{extension}.options')
    return tuple(module.OPTIONS)


def options_page() -> str:
    """Return the text of docs/options.rst."""
    kinds = '\n'.join(
        f'* *{kind}*: {description}.' for kind, description in KINDS.items()
    )
    parts = [HEADER, kinds, '\n']
    for extension in EXTENSIONS:
        options = option_table(extension)
        sections = sorted({f'``[{option.section}]``' for option in options})
        title = f'{extension}, section {", ".join(sections)}'
        parts.append(f'\n{title}\n{"=" * len(title)}\n\n')
        parts.append(_paragraph(INTRODUCTIONS[extension]) + '\n')
        parts.extend(_entry(option) for option in options)
    return ''.join(parts)


def label(option: Option) -> str:
    """Return the anchor of an option, for links to ``options.rst#LABEL``."""
    name = f'{option.section}-{option.title}'.lower()
    if option.pattern:
        # "cacher.*" would get the anchor of "cacher"
        name += '-pattern'
    return re.sub(r'[^a-z0-9]+', '-', name).strip('-')


def _entry(option: Option) -> str:
    title = f'``{option.section}.{option.title}``'
    default = option.default_text
    if option.default is not None and option.shown is None:
        default = f'``{default}``'
    fields = f'*Kind*: {option.kind}.  *Default*: {plain(default)}.'
    if option.pattern:
        fields = f'*Kind*: {option.kind}.  The name is a pattern.'
    return (
        f'\n.. _{label(option)}:\n\n{title}\n{"-" * len(title)}\n\n'
        f'{_paragraph(plain(option.help))}\n\n{_paragraph(fields)}\n'
    )


def plain(text: str) -> str:
    """Return ``text`` with Mercurial's own roles as plain literals."""
    return re.sub(r':hg:`([^`]+)`', r'``hg \1``', text)


def _paragraph(text: str) -> str:
    """Return ``text`` in lines of at most WIDTH that break no literal."""
    text = ' '.join(text.split())
    text = re.sub(
        r'``[^`]+``', lambda found: found[0].replace(' ', _SPACE), text
    )
    text = textwrap.fill(
        text, WIDTH, break_long_words=False, break_on_hyphens=False
    )
    return text.replace(_SPACE, ' ')


def main() -> None:
    """Write the page unless the file is up to date."""
    text = options_page()
    if not TARGET.exists() or TARGET.read_text(encoding='utf-8') != text:
        TARGET.write_text(text, encoding='utf-8')
        print(f'wrote {TARGET.relative_to(ROOT)}')


if __name__ == '__main__':
    main()
