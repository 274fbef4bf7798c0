# SPDX-License-Identifier: GPL-2.0-or-later
"""The record of the clone bundles that were made, in a file of ``.hg``.

Nothing here makes, publishes or removes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mercurial import error
from mercurial.i18n import _

from ..proto import cbor
from ..proto.errors import CBORError
from . import bundlelist

#: The file, in ``.hg``, and the version of its content.
FILE = b'wireprotov2-bundles'
VERSION = 1


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that exists, or may exist.

    ``wanted`` is its specification in the configuration, ``spec`` that in the
    list for clients. ``name`` is that of its file or object; ``inline`` says
    which of the two it is. It holds ``count`` changesets. ``tip`` is the last
    of them, with the number ``rev``. ``censored`` is the censor generation.
    ``retired`` is the time since when it is not listed, 0 if it is.
    """

    wanted: bytes
    spec: bytes
    name: bytes
    inline: bool
    count: int
    rev: int
    tip: bytes
    censored: bytes
    retired: int


_FIELDS = tuple(Bundle.__dataclass_fields__)


def read(repo: Any) -> list[Bundle]:
    """Return the bundles that are known, oldest first."""
    data = bundlelist.files(repo).tryread(FILE)
    if not data:
        return []
    try:
        values: list[Any] = cbor.decode_all(data)
        version, *found = values
        if version != VERSION:
            raise ValueError
        return [Bundle(*(item[n.encode()] for n in _FIELDS)) for item in found]
    except (CBORError, KeyError, TypeError, ValueError):
        raise error.Abort(
            _(b'%s is damaged') % repo.vfs.join(FILE),
            hint=_(
                b'remove it, the lines of the clone bundles in it, and them'
            ),
        ) from None


def write(repo: Any, bundles: Sequence[Bundle]) -> None:
    with bundlelist.files(repo)(FILE, b'wb', atomictemp=True) as stream:
        stream.write(cbor.encode(VERSION))
        for bundle in bundles:
            stream.write(
                cbor.encode({n.encode(): getattr(bundle, n) for n in _FIELDS})
            )
