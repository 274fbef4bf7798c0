# SPDX-License-Identifier: GPL-2.0-or-later
"""Samples of the state of repositories, which extensions offer to a server.

The functions registered in ``collectors`` return them. Nothing here knows what
a sample means or how it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

GAUGE = 'gauge'
COUNTER = 'counter'


class Sample(NamedTuple):
    """One value of a metric.

    ``type`` is ``GAUGE`` or ``COUNTER``; the name of a counter ends with
    ``_total``. All samples of a name have the same help and type. Labels must
    not name the repository: the server does.
    """

    name: str
    help: str
    type: str
    value: float
    labels: Mapping[str, str] = {}
