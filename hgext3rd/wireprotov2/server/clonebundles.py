# SPDX-License-Identifier: GPL-2.0-or-later
"""Clone bundles for Mercurial without this extension, kept current.

Bundles of the public history are made, published in the object store of the
cacher or beside the repository, and listed in ``clonebundles.manifest``, which
Mercurial itself serves. Old ones are removed when no client can be reading
them. Nothing here knows segments; a client with this extension prefers those.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mercurial import (
    bundlecaches,
    error,
    exchange,
    util,
)
from mercurial.i18n import _
from mercurial.node import hex
from mercurial.utils import stringutil

from .. import censoring
from ..cache import base
from . import bundlelist, bundlemaking, bundlerecord
from .bundlelist import BundleChanges
from .bundlerecord import Bundle

#: A bundle is replaced when more changesets than this, and more than this share
#: of the history, are not in it. Mercurial's own clone bundles do the same.
MOST_MISSING = 1000
MOST_SHARE = 0.05

#: Seconds for which a bundle is kept after it was replaced. A client may have
#: read the list just before, and may be slow.
GRACE = 24 * 3600

#: What addresses of bundles beside the repository begin with. Mercurial serves
#: these itself, over HTTP and ssh.
INLINE = b'peer-bundle-cache://'


def specifications(repo: Any) -> list[bytes]:
    """Return the specifications of the bundles that are wanted.

    Raises ``Abort`` for one that Mercurial does not know.
    """
    specs: list[bytes] = repo.ui.configlist(b'wireprotov2', b'clonebundles')
    for spec in specs:
        try:
            bundlecaches.parsebundlespec(repo, spec, strict=False)
        except (
            error.InvalidBundleSpecification,
            error.UnsupportedBundleSpecification,
        ) as e:
            raise error.ConfigError(
                _(b'wireprotov2.clonebundles: %s: %s')
                % (spec, stringutil.forcebytestr(e)),
                hint=_(b"see 'hg help bundlespec'"),
            ) from None
    return list(dict.fromkeys(specs))


def concerned(repo: Any) -> bool:
    """Return whether bundles are wanted, or are left from earlier times."""
    wanted = repo.ui.configlist(b'wireprotov2', b'clonebundles')
    return bool(wanted) or repo.vfs.exists(bundlerecord.FILE)


def refresh(
    repo: Any, specs: Sequence[bytes], store: base.FileStore | None
) -> BundleChanges:
    """Make the bundles that are missing or too old; remove those replaced.

    ``specs`` are their specifications, from ``specifications``. ``store`` is
    where clients can fetch them; without it, they are kept beside the
    repository. The caller has the lock of ``bundlelist``. Raises ``Abort``, and
    then everything that clients see is as before.
    """
    return _Refreshing(repo, store, specs).run()


class _Refreshing:
    """One call of ``refresh``."""

    def __init__(
        self, repo: Any, store: base.FileStore | None, wanted: Sequence[bytes]
    ) -> None:
        self._repo = repo
        self._public = repo.filtered(b'immutable')
        self._store = store
        self._wanted = wanted
        self._bundles = bundlerecord.read(repo)
        self._censored = censoring.generation(repo)
        self._outcome = BundleChanges()

    def run(self) -> BundleChanges:
        now = int(time.time())
        heads = [node for node in self._public.heads() if node != self._null]
        self._bundles = [self._checked(b, now) for b in self._bundles]
        failure = None
        if heads:
            for spec in self._wanted:
                if not self._has_current(spec):
                    try:
                        self._make(spec, heads, now)
                    except (base.CacherError, OSError, error.Abort) as e:
                        failure = failure or _failure(spec, e)
        self._retire_replaced(now)
        self._list()
        self._remove(now)
        if failure is not None:
            raise failure
        return self._outcome

    @property
    def _null(self) -> bytes:
        null: bytes = self._repo.nullid
        return null

    def _checked(self, bundle: Bundle, now: int) -> Bundle:
        """Return a bundle, retired if it does not fit the repository."""
        log = self._public.changelog
        fits = (
            bundle.wanted in self._wanted
            and bundle.censored == self._censored
            and log.hasnode(bundle.tip)
            and log.rev(bundle.tip) == bundle.rev
            and (bundle.inline or self._store is not None)
        )
        return bundle if fits or bundle.retired else _retired(bundle, now)

    def _has_current(self, spec: bytes) -> bool:
        count = len(self._public)
        least = max(count * (1 - MOST_SHARE), count - MOST_MISSING)
        inline = self._store is None
        return any(
            bundle.wanted == spec
            and not bundle.retired
            and bundle.inline == inline
            and bundle.count >= least
            for bundle in self._bundles
        )

    def _make(self, spec: bytes, heads: list[bytes], now: int) -> None:
        """Make and publish a bundle; raise what went wrong."""
        repo = self._repo
        tip = self._public.changelog.tip()
        kind = re.sub(b'[^a-z0-9]+', b'-', spec.lower())
        # Nobody can guess it, and it is not used twice.
        name = b'%s-%s-%s.hg' % (hex(tip)[:12], kind, hex(os.urandom(8)))
        inline = self._store is None
        # A process that dies leaves a note of what it may have published.
        planned = Bundle(
            spec,
            b'',
            name,
            inline,
            len(self._public),
            self._public.changelog.rev(tip),
            tip,
            self._censored,
            now,
        )
        self._bundles.append(planned)
        bundlerecord.write(repo, self._bundles)
        folder = _folder(repo)
        os.makedirs(folder, exist_ok=True)
        with bundlelist.temporary(folder) as temporary:
            path = os.path.join(temporary, name)
            bundlemaking.make(repo, spec, heads, path, temporary)
            with open(path, 'rb') as stream:
                exact = exchange.getbundlespec(repo.ui, stream)
            if self._store is None:
                os.rename(path, os.path.join(folder, name))
            else:
                self._store.publish(name, path)
        self._bundles[-1] = replace(planned, spec=exact, retired=0)
        bundlerecord.write(repo, self._bundles)
        self._outcome.made += 1

    def _retire_replaced(self, now: int) -> None:
        """Retire all bundles but the newest of each specification."""
        newest: dict[bytes, Bundle] = {}
        for bundle in self._bundles:
            if not bundle.retired:
                newest[bundle.wanted] = bundle
        self._bundles = [
            bundle
            if bundle.retired or newest[bundle.wanted] is bundle
            else _retired(bundle, now)
            for bundle in self._bundles
        ]
        bundlerecord.write(self._repo, self._bundles)

    def _list(self) -> None:
        """Write the list for clients; keep the lines of others."""
        lines = []
        current = [b for b in self._bundles if not b.retired]
        # In the order of the configuration, since clients take the first.
        for bundle in sorted(
            current, key=lambda b: self._wanted.index(b.wanted)
        ):
            if bundle.inline:
                url = INLINE + bundle.name
            else:
                assert self._store is not None
                try:
                    url = self._store.url(bundle.name)
                except base.CacherError as e:
                    raise _failure(bundle.wanted, e) from None
            lines.append(
                b'%s BUNDLESPEC=%s %s' % (url, bundle.spec, bundlelist.MARK)
            )
        bundlelist.write(self._repo, bundlecaches.CB_MANIFEST_FILE, lines)

    def _remove(self, now: int) -> None:
        """Remove bundles that nobody can be reading any more."""
        kept = []
        for bundle in self._bundles:
            # What was censored must not wait.
            due = bundle.retired and (
                now - bundle.retired >= GRACE
                or bundle.censored != self._censored
            )
            if not (due and self._removed(bundle)):
                kept.append(bundle)
        if kept != self._bundles:
            self._bundles = kept
            bundlerecord.write(self._repo, kept)

    def _removed(self, bundle: Bundle) -> bool:
        """Remove a bundle; return whether it is gone."""
        if bundle.inline:
            util.tryunlink(os.path.join(_folder(self._repo), bundle.name))
        elif self._store is None:
            # It is in a store that is not configured at the moment.
            return False
        else:
            try:
                self._store.withdraw(bundle.name)
            except base.CacherError:
                # The next run tries again.
                return False
        if bundle.spec:
            self._outcome.removed += 1
        return True


def _retired(bundle: Bundle, now: int) -> Bundle:
    return replace(bundle, retired=now)


def _failure(spec: bytes, cause: Exception) -> error.Abort:
    return bundlelist.failure(_(b'clone bundle'), spec, cause)


def _folder(repo: Any) -> bytes:
    """Return the folder from which Mercurial serves bundles itself."""
    root = repo.ui.config(b'server', b'peer-bundle-cache-root')
    folder: bytes = repo.vfs.join(root)
    return folder
