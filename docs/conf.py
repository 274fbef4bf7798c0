# SPDX-License-Identifier: GPL-2.0-or-later
"""Sphinx configuration of the documentation; ``make docs`` uses it.

The documents link to each other by file name (``operating.rst#backup``), so
that their links also work on a source host. This file turns these links into
links between pages of the site. The build fetches nothing from the network.
"""

from __future__ import annotations

import pathlib
import shutil
import sys
from typing import Any

from docutils import nodes
from docutils.utils import get_source_line
from sphinx.application import Sphinx
from sphinx.util import logging

DOCS = pathlib.Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT))

from hgext3rd.amalgam import metadata  # noqa: E402

project = 'Amalgam'
author = 'the authors of hg-amalgam'
version = release = metadata.__version__.decode()

extensions = ['sphinx.ext.autodoc']
autodoc_member_order = 'bysource'
autodoc_typehints = 'description'

html_theme = 'alabaster'
html_theme_options = {
    'description': 'Mercurial extensions: SQLite, wire protocol 2, LFS',
    'fixed_sidebar': True,
    'page_width': '1080px',
}
html_copy_source = False
html_show_sphinx = False
templates_path: list[str] = []
exclude_patterns: list[str] = []

#: Documents outside docs/ that a page of the site includes.
INCLUDED = {
    'README.rst': 'index',
    'CONTRIBUTING.rst': 'project/contributing',
    'SECURITY.rst': 'project/security',
    'RELEASING.rst': 'project/releasing',
    'CHANGES.rst': 'project/changes',
}

logger = logging.getLogger(__name__)

#: Files of docs/ that pages link to, other than pages.
copied_files: set[str] = set()


def find_links(app: Sphinx, doctree: nodes.document) -> None:
    """Find what each link to a file of the project leads to.

    A link to a document gets the name of its page. A link to another file
    leads to a copy of that file. A link to a file outside the site is a
    warning.
    """
    for node in doctree.findall(nodes.reference):
        target = node.get('refuri', '')
        if not target or '://' in target or target.startswith('mailto:'):
            continue
        # Links are relative to the file they are written in, which may be
        # included in the page.
        source, line = get_source_line(node)
        name, _, fragment = target.partition('#')
        path = (pathlib.Path(source or DOCS).resolve().parent / name).resolve()
        page = _page_of(path)
        if page is not None:
            node['amalgam_page'] = page, fragment
        elif path.is_file() and path.is_relative_to(DOCS):
            relative = path.relative_to(DOCS).as_posix()
            copied_files.add(relative)
            node['refuri'] = '../' * app.env.docname.count('/') + relative
        else:
            logger.warning(
                'link to a file outside the site: %s',
                target,
                location=(source, line),
            )


def _page_of(path: pathlib.Path) -> str | None:
    """Return the page that shows the document at ``path``, or None."""
    if path.parent == ROOT and path.name in INCLUDED:
        return INCLUDED[path.name]
    if path.suffix == '.rst' and path.is_file() and path.is_relative_to(DOCS):
        return path.relative_to(DOCS).with_suffix('').as_posix()
    return None


def write_links(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Replace the links of ``find_links`` by links between pages."""
    for node in doctree.findall(nodes.reference):
        if 'amalgam_page' in node:
            page, fragment = node['amalgam_page']
            uri = app.builder.get_relative_uri(docname, page)
            node['refuri'] = f'{uri}#{fragment}' if fragment else uri


def copy_linked_files(app: Sphinx, exception: Exception | None) -> None:
    """Copy the files, other than pages, that pages link to."""
    if exception is not None:
        return
    for name in copied_files:
        target = pathlib.Path(app.outdir) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(DOCS / name, target)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the handling of links; called by Sphinx."""
    app.connect('doctree-read', find_links)
    app.connect('doctree-resolved', write_links)
    app.connect('build-finished', copy_linked_files)
    return {'parallel_read_safe': False}
