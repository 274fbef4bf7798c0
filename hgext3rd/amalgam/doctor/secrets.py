# SPDX-License-Identifier: GPL-2.0-or-later
"""Keeping passwords and keys out of what is shown.

Errors of other programs may quote a URL with a password, or a signed link. All
text that the command shows passes through here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

HIDDEN = b'***'

# Names of options and variables of the environment that hold a secret.
_NAMES = re.compile(
    rb'(?i)secret|passw|token|credential|(account|access|api|private)_?key'
    rb'|_key_id\b|\bsas\b'
)

# Shorter values would hide ordinary words.
_SHORTEST = 4

_LOGIN = re.compile(rb'(\w+://)[^/\s@]+@')
_QUERY = re.compile(rb'(\w+://[^\s?\'"]+\?)[^\s\'"]+')


def values(
    options: Iterable[tuple[bytes, bytes]], environment: Mapping[bytes, bytes]
) -> list[bytes]:
    """Return the secrets among options (name, value) and in the environment.

    Passwords in URLs count as well. The longest come first.
    """
    found = set()
    for name, value in [*options, *environment.items()]:
        if not isinstance(value, bytes):
            continue
        if _NAMES.search(name):
            found.add(value)
        for login in _LOGIN.finditer(value):
            user_info = login[0].partition(b'://')[2][:-1]
            found.add(user_info.partition(b':')[2])
    return sorted(
        (value for value in found if len(value) >= _SHORTEST),
        key=len,
        reverse=True,
    )


def of_ui(ui: Any, environment: Mapping[bytes, bytes]) -> list[bytes]:
    """Return the secrets in a configuration and in the environment."""
    options = ((name, value) for _section, name, value in ui.walkconfig())
    return values(options, environment)


def hide(text: bytes, known: Iterable[bytes]) -> bytes:
    """Return ``text`` without secrets, logins and queries of URLs."""
    for value in known:
        text = text.replace(value, HIDDEN)
    text = _LOGIN.sub(rb'\1' + HIDDEN + b'@', text)
    return _QUERY.sub(rb'\1' + HIDDEN, text)
