# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the sections of a page as plain text, for the style ``raw``.

Pure. Fields of tables are separated by tabs; what only a picture shows is left
out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from . import blocks


def page(sections: Iterable[blocks.Section]) -> bytes:
    """Return the sections as text in UTF-8."""
    lines: list[str] = []
    for section in sections:
        lines.append(f'# {_line(section.title)}')
        for block in section.blocks:
            lines.append('')
            lines.extend(_block(block))
        lines.append('')
    return ('\n'.join(lines)).encode('utf-8', 'replace')


def _line(text: str) -> str:
    """Return text without what would end a field or a line."""
    return ''.join(c if c.isprintable() else '\ufffd' for c in text)


def _block(block: blocks.Block) -> Iterator[str]:
    if isinstance(block, blocks.Facts):
        for fact in block.facts:
            yield '\t'.join(
                _line(part)
                for part in (fact.label, fact.value, fact.note)
                if part
            )
    elif isinstance(block, blocks.Table):
        yield f'## {_line(block.title)}'
        titles = (column.title for column in block.columns)
        yield '\t'.join(_line(title) for title in titles if title)
        for row in block.rows:
            yield '\t'.join(
                _line(cell if isinstance(cell, str) else cell.text)
                for cell in row
                if not isinstance(cell, blocks.Button)
            )
    elif isinstance(block, blocks.Note):
        yield _line(block.text)
    else:
        yield f'## {_line(block.title)}'
        if block.note:
            yield _line(block.note)
