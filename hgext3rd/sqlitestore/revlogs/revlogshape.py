# SPDX-License-Identifier: GPL-2.0-or-later
"""Attributes of a revlog that core and extensions expect.

They describe how a revlog is stored and configured. Here they are constants,
settings of core that are passed on, and methods that do nothing. This module
knows nothing of revisions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from mercurial import mdiff, revlog, util
from mercurial.node import sha1nodeconstants
from mercurial.revlogutils import constants, flagutil

from ..compat import config


class RevlogShape:
    """The part of a revlog's interface that does not depend on revisions.

    ``opener`` is the store's vfs, in whose options core keeps settings.
    """

    #: tells these objects from revlogs
    in_sqlite = True
    nullid = sha1nodeconstants.nullid
    nodeconstants = sha1nodeconstants
    # Extensions and debug commands look at these.
    _format_version = constants.REVLOGV1
    _format_flags = constants.FLAG_GENERALDELTA
    _flagserrorclass = revlog.revlog._flagserrorclass
    _large_file_enabled = False
    _trypending = False
    _docket = None
    # The repository has a pack_sink (see ``amalgam.packs.sinks``).
    takes_packs = True
    _inline = False
    _indexfile = None
    _datafile = None
    _sidedatafile = None
    _nodemap_file = None
    _diff_fn = staticmethod(mdiff.textdiff)
    revlog_kind: int = constants.KIND_FILELOG
    is_delaying = False
    has_revdiff_extra = False
    uses_rust = False

    def __init__(self, opener: Any) -> None:
        self.opener = opener

    # settings of core

    @util.propertycache
    def feature_config(self) -> Any:
        """Core's settings for what revlogs may hold."""
        feature: Any = self.opener.options.get(b'feature-config')
        feature = config.FeatureConfig() if feature is None else feature.copy()
        feature.censorable = self.revlog_kind == constants.KIND_FILELOG
        feature.canonical_parent_order = False
        return feature

    @util.propertycache
    def _flagprocessors(self) -> dict[int, Any]:
        options = self.opener.options
        processors = dict(flagutil.flagprocessors)
        processors.update(options.get(b'flagprocessors', {}))
        if (
            options.get(b'enableellipsis')
            or self.feature_config.enable_ellipsis
        ):
            processors[constants.REVIDX_ELLIPSIS] = revlog.ellipsisprocessor
        return processors

    @property
    def delta_config(self) -> Any:
        """Core's settings for deltas; any revision may be a base here."""
        delta: Any = self.opener.options.get(b'delta-config')
        delta = config.DeltaConfig() if delta is None else delta.copy()
        delta.general_delta = True
        return delta

    @property
    def data_config(self) -> Any:
        """Core's settings for reading revlogs."""
        data: Any = self.opener.options.get(b'data-config')
        return config.DataConfig() if data is None else data

    # what a revlog has beside its revisions

    def get_revlog(self) -> RevlogShape:
        """Return this object, which takes the place of a revlog."""
        return self

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Do nothing: core keeps files open in this context."""
        yield

    def files(self, include_old: bool = True) -> list[bytes]:
        """Return no names: no file in the store belongs to this file alone."""
        return []

    def update_caches(self, transaction: Any) -> None:
        """Do nothing: there are no caches on disk."""

    def checksize(self) -> tuple[int, int]:
        """Return zeros: SQLite itself keeps track of the file's size."""
        return 0, 0

    def sidedata(self, nodeorrev: bytes | int) -> dict[int, bytes]:
        """Return nothing: filelogs have no side data."""
        return {}
