# SPDX-License-Identifier: GPL-2.0-or-later
"""Write verdicts as a JUnit report, which other tools can add up.

This module knows only verdicts, not where they come from.
"""

from __future__ import annotations

import pathlib
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable

import verdict
from verdict import Verdict

# Characters that a test may print but that XML 1.0 does not allow.
UNPRINTABLE = re.compile('[^\t\n\x20-\ud7ff\ue000-\ufffd]')


def write(
    path: pathlib.Path, verdicts: Iterable[Verdict], missing: Iterable[str]
) -> None:
    """Write the report to ``path``.

    ``missing`` names the files that were not reached in time. They count as
    skipped, and so do tests that also fail without the backend.
    """
    suite = ElementTree.Element('testsuite', name='conformance')
    for one in verdicts:
        case = ElementTree.SubElement(suite, 'testcase', name=one.case)
        if one.kind == verdict.FAILED:
            failure = ElementTree.SubElement(case, 'failure')
            text = '\n'.join([one.text, *one.diff])
            failure.text = UNPRINTABLE.sub('?', text)
        elif one.kind in (verdict.SKIPPED, verdict.MACHINE):
            ElementTree.SubElement(case, 'skipped')
    for name in missing:
        case = ElementTree.SubElement(suite, 'testcase', name=name)
        ElementTree.SubElement(case, 'skipped', message='not reached in time')
    ElementTree.ElementTree(suite).write(path, encoding='utf-8')
