# SPDX-License-Identifier: GPL-2.0-or-later
"""Declarations that a wrapper of a Mercurial function makes about itself.

A function that wraps request handling in hgweb may want to see every request,
or only those for addresses of its own extension. Code that answers a request
without calling the wrapper must know which of the two applies, and only the
author of the wrapper knows that. Imported whenever an extension is loaded: keep
it light.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

_ATTRIBUTE = 'amalgam_own_addresses_only'

Wrapper = TypeVar('Wrapper', bound=Callable[..., Any])


def own_addresses_only(wrapper: Wrapper) -> Wrapper:
    """Declare that ``wrapper`` does not change requests for other addresses.

    Return the wrapper. A server may skip it for addresses that belong to
    another extension.
    """
    setattr(wrapper, _ATTRIBUTE, True)
    return wrapper


def has_own_addresses_only(wrapper: Callable[..., Any]) -> bool:
    """Return whether ``own_addresses_only`` was declared for ``wrapper``."""
    return getattr(wrapper, _ATTRIBUTE, False) is True
