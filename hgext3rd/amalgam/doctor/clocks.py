# SPDX-License-Identifier: GPL-2.0-or-later
"""How much the clock of another machine differs from the one here.

Works on the answers to requests and makes none.
"""

from __future__ import annotations

import email.utils
from collections.abc import Iterator

from mercurial.i18n import _

from .asking import Answer
from .findings import Finding, ok, problem, warning

#: Seconds. Stores refuse requests that were signed by a clock which differs by 15
#: minutes (S3), and links are valid from the time when they were signed.
MUCH = 300.0
SOME = 5.0


def difference(answer: Answer) -> float | None:
    """Return by how many seconds the other clock is ahead; None if unknown.

    A date has whole seconds, and is of some time during the request. The
    difference is the least that fits.
    """
    try:
        date = email.utils.parsedate_to_datetime(answer.headers['date'])
    except (KeyError, ValueError, TypeError):
        return None
    earliest = date.timestamp()
    if earliest > answer.ended:
        return earliest - answer.ended
    if earliest + 1 < answer.began:
        return earliest + 1 - answer.began
    return 0.0


def judge(answer: Answer, what: bytes) -> Iterator[Finding]:
    """Yield whether the clock of ``what``, which sent ``answer``, is right."""
    found = difference(answer)
    if found is None:
        return
    told = _(b'the clock of %s is %d seconds %s the one here') % (
        what,
        abs(found),
        _(b'ahead of') if found > 0 else _(b'behind'),
    )
    advice = _(b'synchronise the clocks of all machines by NTP')
    if abs(found) >= MUCH:
        yield problem(told, advice)
    elif abs(found) >= SOME:
        yield warning(told, advice)
    else:
        yield ok(_(b'the clock of %s agrees with the one here') % what)
