# SPDX-License-Identifier: GPL-2.0-or-later
"""Results as a JUnit report, for those who sum up several runners."""

from __future__ import annotations

import pathlib
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable

import verdict
from verdict import Verdict

# What XML cannot hold, whatever a test printed.
UNPRINTABLE = re.compile('[^\t\n\x20-\ud7ff\ue000-\ufffd]')


def write(
    path: pathlib.Path, verdicts: Iterable[Verdict], missing: Iterable[str]
) -> None:
    """Write a report; ``missing`` are files there was no time for.

    These are skipped, and so is what fails on this machine by itself.
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
