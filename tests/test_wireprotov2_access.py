# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may see what: views, audiences, and access control of files."""

from __future__ import annotations

import os
import pathlib
from typing import Any

import pytest
from mercurial import commands, extensions, phases, requirements
from mercurial import ui as uimod

from hgext3rd.wireprotov2.access import visibility
from hgext3rd.wireprotov2.access.requester import Requester, served
from hgext3rd.wireprotov2.access.visibility import Audience, References
from hgext3rd.wireprotov2.proto.errors import CommandError
from hgext3rd.wireprotov2.requirements import SHALLOW

try:
    from mercurial.repo.factory import repository
except ImportError:  # hg <= 7.1
    from mercurial.hg import repository

UNKNOWN = b'\x11' * 20


@pytest.fixture
def repo(tmp_path: pathlib.Path) -> Any:
    """A public, a draft and a secret changeset, one on the other."""
    ui = uimod.ui.load()
    for section, name, value in (
        (b'ui', b'username', b'test'),
        (b'ui', b'quiet', b'yes'),
        (b'extensions', b'wireprotov2', b''),
    ):
        ui.setconfig(section, name, value)
    extensions.loadall(ui)
    made = repository(ui, os.fsencode(tmp_path / 'repo'), create=True)
    for number in range(3):
        with open(made.wjoin(b'file'), 'ab') as stream:
            stream.write(b'%d\n' % number)
        commands.commit(
            ui, made, addremove=True, message=b'%d' % number, date=b'0 0'
        )
    with made.lock(), made.transaction(b'phase') as tr:
        public, _draft, secret = (made[rev].node() for rev in range(3))
        phases.advanceboundary(made, tr, phases.public, [public])
        phases.retractboundary(made, tr, phases.secret, [secret])
    made.invalidateall()
    return made


def named(repo: Any, rev: int) -> list[References]:
    """Return the ways to name the content of a changeset."""
    ctx = repo.unfiltered()[rev]
    return [
        References(changesets=(ctx.node(),)),
        References(manifests=((b'', ctx.manifestnode()),)),
        References(files=((b'file', ctx[b'file'].filenode()),)),
    ]


@pytest.mark.parametrize(
    'rev, expected',
    [(0, Audience.EVERYBODY), (1, Audience.VIEW), (2, Audience.VIEW)],
)
def test_audience_of_a_changeset(
    repo: Any, rev: int, expected: Audience
) -> None:
    for references in named(repo, rev):
        found = visibility.audience(served(repo).repo, references)
        assert found is expected


def test_audience_of_unknown_revisions(repo: Any) -> None:
    view = served(repo).repo
    unknown = References(changesets=(UNKNOWN,))
    assert visibility.audience(view, unknown) is Audience.UNKNOWN
    unknown = References(files=((b'file', UNKNOWN),))
    assert visibility.audience(view, unknown) is Audience.VIEW


def test_fingerprints_tell_views_apart(repo: Any) -> None:
    views = [repo.unfiltered(), repo.filtered(b'served')]
    views.append(repo.filtered(b'immutable'))
    found = [visibility.fingerprint(view) for view in views]
    assert len({repr(value) for value in found}) == 3
    assert visibility.fingerprint(views[1]) == found[1]


def test_revisions_that_are_not_for_everybody(repo: Any) -> None:
    assert not visibility.all_public(repo)
    assert visibility.not_for_everybody(repo) == {2}
    repo.ui.setconfig(b'phases', b'publish', b'no')
    assert visibility.not_for_everybody(repo) == {1, 2}


def test_manifests_and_files_of_secret_changesets(repo: Any) -> None:
    view = served(repo).repo
    ctx = repo.unfiltered()[2]
    manifests = {ctx.manifestnode(): 2, repo[1].manifestnode(): 1}
    found = visibility.manifest_changesets(view, b'', manifests)
    assert found == {repo[1].manifestnode(): 1}
    files = {ctx[b'file'].filenode(): 2, repo[1][b'file'].filenode(): 1}
    found = visibility.file_changesets(view, b'file', files)
    assert found == {repo[1][b'file'].filenode(): 1}


def test_without_access_control(repo: Any) -> None:
    requester = served(repo)
    assert requester.narrow_patterns() is None
    assert requester.narrow_matcher() is None
    assert requester.file_matcher()(b'any/file')
    assert requester.may_have_segments()


def test_access_control_limits_paths(repo: Any) -> None:
    repo.ui.setconfig(b'narrowacl', b'default.includes', b'docs')
    repo.ui.setconfig(b'narrowacl', b'alice.includes', b'*')
    repo.ui.setconfig(b'narrowacl', b'alice.excludes', b'secret')
    bob, alice = (
        Requester(served(repo).repo, name).file_matcher()
        for name in (b'bob', b'alice')
    )
    assert bob(b'docs/a') and not bob(b'src/a')
    assert alice(b'src/a') and not alice(b'secret/a')
    # Segments hold all files, so nobody gets them here.
    assert not Requester(served(repo).repo, b'alice').may_have_segments()


def test_users_whom_access_control_does_not_mention(repo: Any) -> None:
    repo.ui.setconfig(b'narrowacl', b'alice.includes', b'*')
    with pytest.raises(CommandError) as caught:
        served(repo).file_matcher()
    assert caught.value.messageargs == (b'(anonymous)',)


@pytest.mark.parametrize(
    'requirement', [SHALLOW, requirements.NARROW_REQUIREMENT]
)
def test_incomplete_repositories_have_no_segments(
    repo: Any, requirement: bytes
) -> None:
    requester = served(repo)
    requester.repo.requirements.add(requirement)
    assert not requester.may_have_segments()
