# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a server's version 2 commands can do what a pull needs.

Decides from the description of the API and from the arguments of ``getbundle``.
Sends nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mercurial import bundle2, util
from mercurial.node import nullid

from ..client.endpoint import Endpoint
from ..client.offer import OfferedAPI

# The arguments of getbundle that version 2 can honour. A call with any other
# argument is sent with version 1.
KNOWN_ARGUMENTS = frozenset(
    (
        b'bundlecaps',
        b'common',
        b'heads',
        b'cg',
        b'listkeys',
        b'bookmarks',
        b'cbattempted',
        b'obsmarkers',
        b'depth',
    )
)

# Further arguments in a narrow repository.
NARROW_ARGUMENTS = frozenset(
    (
        b'narrow',
        b'includepats',
        b'excludepats',
        b'oldincludepats',
        b'oldexcludepats',
    )
)

REQUIRED_COMMANDS = (
    b'changesetdata',
    b'manifestdata',
    b'filesdata',
    b'listkeys',
)

# Storage formats whose revisions hold more than these commands transfer.
FOREIGN_FORMATS = frozenset(
    (
        b'treemanifest',
        b'exp-copies-sidedata-changeset',
        b'exp-revlogv2.2',
        b'exp-changelog-v2',
    )
)


def has_commands(api: OfferedAPI) -> bool:
    """Return whether ``api`` has the commands that a pull needs."""
    return not api.formats & FOREIGN_FORMATS and all(
        name in api.commands for name in REQUIRED_COMMANDS
    )


def can_filter_paths(api: OfferedAPI) -> bool:
    """Return whether ``api`` can send the files of a narrow repository."""
    return api.has_argument(b'filesdata', b'pathfilter')


def has_flags(api: OfferedAPI) -> bool:
    """Return whether ``api`` can send the flags of file revisions."""
    return b'flags' in api.valid_values(b'filesdata', b'fields')


def selects_by_changeset(api: OfferedAPI) -> bool:
    """Return whether ``api`` can send the manifests of a range of changesets.

    Servers with this extension can. Mercurial 4.8 to 6.0 cannot, and they fail
    to answer ``filesdata`` for changesets that remove files.
    """
    return api.has_argument(b'manifestdata', b'revisions')


def needs_version2(kwargs: Mapping[bytes, Any]) -> bool:
    """Return whether version 1 cannot answer a call of ``getbundle``.

    Narrow requests get here only if the server lacks the narrow extension.
    """
    return bool(kwargs.get(b'narrow')) or kwargs.get(b'depth') is not None


def can_pull(
    endpoint: Endpoint, remote: Any, kwargs: Mapping[bytes, Any]
) -> bool:
    """Return whether version 2 can answer a call of ``getbundle``.

    ``kwargs`` are the arguments of the call to the peer ``remote``.
    """
    api = endpoint.api
    if api is None:
        return False
    if endpoint.prefers_version1 and not needs_version2(kwargs):
        return False
    known = KNOWN_ARGUMENTS
    if endpoint.filters_paths:
        known |= NARROW_ARGUMENTS
    present = {key for key, value in kwargs.items() if value is not None}
    if not present <= known or not _requests_something(kwargs):
        return False
    if not has_commands(api):
        return False
    version = changegroup_version(kwargs.get(b'bundlecaps'))
    if kwargs.get(b'depth') is not None:
        # Missing data is marked by a flag, and version 02 has no flags.
        return version == b'03'
    if remote.capable(b'lfs-serve'):
        # File revisions of lfs have flags.
        return version == b'03' and has_flags(api)
    return version is not None


def _requests_something(kwargs: Mapping[bytes, Any]) -> bool:
    if kwargs.get(b'listkeys') or kwargs.get(b'bookmarks'):
        return True
    return bool(wanted_heads(kwargs) and kwargs.get(b'cg', True))


def wanted_heads(kwargs: Mapping[bytes, Any]) -> list[bytes]:
    """Return the heads that a call of ``getbundle`` asks for."""
    # The head of an empty repository is the null revision.
    return [node for node in kwargs.get(b'heads') or () if node != nullid]


def changegroup_version(bundlecaps: Any) -> bytes | None:
    """Return the changegroup version that a caller of ``getbundle`` can read.

    Returns None if version 2 responses cannot be turned into any of them.
    """
    caps = set(bundlecaps or ())
    if b'HG20' not in caps:
        return None
    versions: Any = ()
    for cap in caps:
        if cap.startswith(b'bundle2='):
            blob = util.urlreq.unquote(cap[len(b'bundle2=') :])
            versions = bundle2.decodecaps(blob).get(b'changegroup', ())
    for version in (b'03', b'02'):
        if version in versions:
            return version
    return None
