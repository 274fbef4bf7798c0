# SPDX-License-Identifier: GPL-2.0-or-later
"""Which names the lines of a pack may have.

A name becomes a key of the database or the name of a file in the store, and
later a path in working directories. So the rules are those with which Mercurial
audits paths there, whatever the system.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mercurial import encoding

# A component that is empty, or would lead out of the working directory or into
# its ``.hg``; or a character that no name has.
_WRONG = re.compile(rb'(?:^|[/\0])(?:\.\.?|\.hg\.?)?(?=[/\0]|$)|[\n\r]', re.I)


def are_right(names: Iterable[bytes]) -> bool:
    """Return whether all of ``names`` are paths of files."""
    # One search for all of them: there may be a million.
    joined = b'\0'.join(names)
    if not joined.isascii():
        # What HFS ignores in names, as Mercurial does.
        joined = encoding.hfsignoreclean(joined)
    return _WRONG.search(joined) is None
