# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions that all parsers and encoders of LFS JSON documents share.

This module knows neither HTTP nor a store. It raises only the errors of
``errors``. Source: docs/api of the git-lfs project.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from .. import errors

MEDIA_TYPE = 'application/vnd.git-lfs+json'

# Git stores refs as files, so PATH_MAX of Linux bounds their names.
MAX_REF_BYTES = 4096

_CONTROL = re.compile(r'[\x00-\x1f\x7f]')


def utc(seconds: float) -> str:
    """Return a POSIX time as RFC 3339 text in UTC.

    LFS clients expect the suffix "Z".
    """
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.strftime('%Y-%m-%dT%H:%M:%SZ')


def parse_document(data: bytes) -> dict[str, Any]:
    """Return the JSON object in ``data``.

    Raises BadRequest if the data is not JSON, and Invalid if it is JSON but
    not an object.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        # ValueError covers bad UTF-8 and numbers longer than Python parses.
        raise errors.BadRequest('the request body is not valid JSON') from None
    if not isinstance(document, dict):
        raise errors.Invalid('the request body must be a JSON object')
    return document


def text_member(document: Mapping[str, Any], name: str, limit: int) -> str:
    """Return the text of the member ``name``; see ``checked_text``.

    Raises Invalid also if the member is missing or not a string.
    """
    value = document.get(name)
    if not isinstance(value, str):
        raise errors.Invalid(f'"{name}" must be a string')
    return checked_text(value, name, limit)


def checked_text(value: str, name: str, limit: int) -> str:
    """Return ``value``.

    Raises Invalid if the text is empty, has more than ``limit`` bytes in
    UTF-8, cannot be encoded, or contains control characters. The error message
    calls the text ``name``.
    """
    try:
        length = len(value.encode('utf-8'))
    except UnicodeEncodeError:
        raise errors.Invalid(f'"{name}" is not valid Unicode') from None
    if not value or length > limit:
        raise errors.Invalid(f'"{name}" must have 1 to {limit} bytes')
    if _CONTROL.search(value):
        raise errors.Invalid(f'"{name}" contains control characters')
    return value


def ref_member(document: Mapping[str, Any]) -> str | None:
    """Return the name of the ref in the member "ref", or None without a ref.

    Raises Invalid.
    """
    ref = document.get('ref')
    if ref is None:
        return None
    if not isinstance(ref, dict):
        raise errors.Invalid('"ref" must be an object with a "name"')
    if ref.get('name') in (None, ''):
        # git-lfs sends an empty name while HEAD is detached.
        return None
    return text_member(ref, 'name', MAX_REF_BYTES)


def is_integer(value: object) -> bool:
    """Return whether a JSON value is an integer.

    ``true`` and ``1.0`` are not integers here, although Python's ``bool`` is a
    subclass of ``int``.
    """
    return isinstance(value, int) and not isinstance(value, bool)


def encode_error(message: str) -> bytes:
    """Return the body of an error response."""
    return encode({'message': message})


def encode(document: Mapping[str, Any]) -> bytes:
    """Return compact JSON in ASCII."""
    return json.dumps(document, separators=(',', ':')).encode('ascii')
