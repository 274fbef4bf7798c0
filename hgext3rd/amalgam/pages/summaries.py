# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures of one repository among others, for the summary of a server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Value:
    """A figure: its ``name`` for programs, its ``title``, and how to show it.

    ``number`` is None if it is not known yet. Sums of ``additive`` ones make
    sense.
    """

    name: str
    title: str
    number: int | None
    show: Callable[[float], str]
    additive: bool = True
