# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the sections of a page as HTML.

Pure. What is written is ASCII: it says the same in every encoding of a page, and
no byte of a name can change what follows it. All elements are closed, because
some styles of hgweb are XHTML.
"""

from __future__ import annotations

from collections.abc import Iterable

from . import blocks
from .charts import COLOURS, escaped


def page(sections: Iterable[blocks.Section]) -> bytes:
    """Return the sections as HTML for the body of a page."""
    parts = ['<div class="amalgam">']
    for section in sections:
        parts.append(f'<h4 class="am-section">{escaped(section.title)}</h4>')
        parts.extend(map(_block, section.blocks))
    parts.append('</div>')
    return '\n'.join(parts).encode('ascii', 'xmlcharrefreplace')


def _block(block: blocks.Block) -> str:
    if isinstance(block, blocks.Facts):
        return _facts(block)
    if isinstance(block, blocks.Table):
        return _table(block)
    if isinstance(block, blocks.Chart):
        return (
            f'<h5>{escaped(block.title)}</h5>'
            f'<div class="am-chart">{block.svg}</div>{_note(block.note)}'
        )
    kind = 'am-important' if block.important else 'am-note'
    return f'<p class="{kind}">{escaped(block.text)}</p>'


def _note(text: str) -> str:
    return f'<p class="am-note">{escaped(text)}</p>' if text else ''


def _facts(found: blocks.Facts) -> str:
    tiles = ''.join(
        f'<div class="am-fact"><strong>{escaped(fact.value)}</strong>'
        f'<span>{escaped(fact.label)}</span>'
        + (f'<em>{escaped(fact.note)}</em>' if fact.note else '')
        + '</div>'
        for fact in found.facts
    )
    return f'<div class="am-facts">{tiles}</div>'


def _table(table: blocks.Table) -> str:
    head = ''.join(
        f'<th{_classes(column)}>{escaped(column.title)}</th>'
        for column in table.columns
    )
    rows = ''.join(
        '<tr>'
        + ''.join(
            f'<td{_classes(column)}>{_cell(cell)}</td>'
            for column, cell in zip(table.columns, row, strict=True)
        )
        + '</tr>\n'
        for row in table.rows
    )
    body = (
        '<div class="am-scroll"><table class="am-table">'
        f'<thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>'
    )
    title, note = escaped(table.title), _note(table.note)
    if table.folded:
        return f'<details><summary>{title}</summary>{body}{note}</details>'
    return f'<h5>{title}</h5>{body}{note}'


def _classes(column: blocks.Column) -> str:
    names = []
    if column.number:
        names.append('am-number')
    if column.minor:
        names.append('am-minor')
    return f' class="{" ".join(names)}"' if names else ''


def _cell(cell: blocks.Cell) -> str:
    if isinstance(cell, blocks.Link):
        return f'<a href="{escaped(cell.href)}">{escaped(cell.text)}</a>'
    if isinstance(cell, blocks.Bar):
        width = max(0.0, min(100.0, 100 * cell.share))
        return (
            f'{escaped(cell.text)}<svg class="am-bar" width="100%" height="5" '
            'aria-hidden="true"><rect width="100%" height="5" fill="#e4e8eb"/>'
            f'<rect width="{width:.1f}%" height="5" fill="{COLOURS[0]}"/></svg>'
        )
    if isinstance(cell, blocks.Button):
        fields = ''.join(
            f'<input type="hidden" name="{escaped(name)}" '
            f'value="{escaped(value)}" />'
            for name, value in cell.fields
        )
        return (
            f'<form class="am-form" method="post" action="">{fields}'
            f'<input type="submit" value="{escaped(cell.text)}" /></form>'
        )
    return escaped(cell)
