# SPDX-License-Identifier: GPL-2.0-or-later
"""The session: everything that belongs to one pull, in one object.

Mercurial calls this extension at several places during a pull (``steps``), and
hands it the repository or the peer each time. From these, the functions find
the session of that pull. A session knows the state of its pull. ``segments``,
``batches`` and ``getbundle`` decide how history is fetched and applied.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from mercurial import hook
from mercurial.utils import urlutil

from ..client.endpoint import endpoint_of
from .missing import TextFetcher
from .report import Report
from .resume import Resumption


def public_heads(repo: Any) -> list[bytes]:
    """Return the heads of the public changesets.

    Mercurial finds them faster than the revset "heads(public())", which looks at
    all of history.
    """
    heads = repo.filtered(b'immutable').heads()
    return [node for node in heads if node != repo.nullid]


class PullSession:
    """One call of Mercurial's ``exchange.pull``; use it as a context manager.

    ``repo`` is pulled to from the peer ``remote``. ``depth`` is the number of
    generations whose files are wanted, None for all of them. ``confirm`` says
    that the user wants to be asked before anything is applied.
    """

    #: The sessions that are running. Each adds and removes itself.
    _running: ClassVar[list[PullSession]] = []

    def __init__(
        self,
        repo: Any,
        remote: Any,
        depth: int | None = None,
        confirm: bool = False,
    ) -> None:
        self.repo = repo
        self.remote = remote
        #: the version 2 side of the remote, None if it has none
        self.endpoint = endpoint_of(remote)
        self.depth = depth
        self.confirm = confirm
        #: the numbers of changesets and of heads before the pull
        self.first = len(repo.unfiltered())
        self.first_heads = len(repo.heads())
        #: the heads of the remote if this session requested them, else empty
        self.heads: Sequence[bytes] = ()
        #: the drafts that the remote has, if it has everything that is public
        #: here; None if it may lack some of that
        self.common_drafts: Sequence[bytes] | None = None
        #: how many segments or batches were applied ahead of the pull proper
        self.applied = 0
        #: the summary of what is applied ahead
        self.report = Report(repo)
        #: the mark that lets an interrupted clone continue
        self.resumption = Resumption(repo)
        #: whether the pull that runs now is one batch of this session
        self.in_batch = False
        #: whether all file revisions in the repository have passed
        #: Mercurial's check of their parents, see ``parents``
        self.parents_checked = False

    @classmethod
    def of(cls, remote: Any) -> PullSession | None:
        """Return the session that pulls from the peer ``remote``, or None."""
        for session in reversed(cls._running):
            if session.remote is remote:
                return session
        return None

    @classmethod
    def any_parents_checked(cls) -> bool:
        """Return whether a running session has ``parents_checked``.

        A file's storage does not tell which repository it belongs to. A process
        applies history to one repository at a time, so one answer is enough.
        """
        return any(session.parents_checked for session in cls._running)

    def __enter__(self) -> PullSession:
        self._running.append(self)
        if self.endpoint is not None:
            repo = self.repo.unfiltered()
            self._subclass = _pulling_class(type(repo), self)
            self._inherited = type(repo)
            repo.__class__ = self._subclass
            # Used if the repository has or gets a limited depth.
            self._outer_fetch = vars(repo).get('shallow_fetch')
            repo.shallow_fetch = TextFetcher(self.endpoint)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._running.remove(self)
        if self.endpoint is not None:
            self.endpoint.close()
            repo = self.repo.unfiltered()
            repo.shallow_fetch = self._outer_fetch
            # If another extension has put a subclass on top in the meantime,
            # the class of this session stays. It does nothing any more.
            if type(repo) is self._subclass:
                repo.__class__ = self._inherited

    @property
    def running(self) -> bool:
        """Whether the pull has begun and not ended."""
        return any(session is self for session in self._running)

    def can_run_ahead(self, pullop: Any) -> bool:
        """Return whether history may be applied ahead of the pull proper.

        Running ahead takes separate transactions, which later failures of the
        pull do not undo. So only clones of the whole history run ahead, and
        pulls that continue one.
        """
        repo = self.repo
        if self.endpoint is None or self.endpoint.api is None:
            return False
        if self.confirm or repo.ui.configbool(b'pull', b'confirm'):
            return False
        if len(repo.unfiltered()) and not self.resumption.unfinished():
            return False
        if pullop.heads or pullop.depth:
            # A depth of 0 is no hindrance: no data of files is wanted.
            return False
        stream = pullop.streamclonerequested
        if stream is None:
            stream = bool(self.remote.capable(b'stream-preferred'))
        return not stream

    def common(self) -> list[bytes]:
        """Return the heads of what is here and there, from ``common_drafts``."""
        assert self.common_drafts is not None
        repo = self.repo
        nodes = [*public_heads(repo), *self.common_drafts]
        return [
            repo.changelog.node(rev) for rev in repo.revs(b'heads(%ln)', nodes)
        ]

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Any]:
        """Open a transaction for history that is applied ahead.

        Until it ends, all file revisions count as ``parents_checked``.
        """
        url = self.remote.url()
        name = b'pull\n%s' % urlutil.hidepassword(url)
        with self.report.transaction(url, name) as tr:
            self.parents_checked = True
            try:
                yield tr
            finally:
                self.parents_checked = False


def _pulling_class(kind: Any, session: PullSession) -> type:
    """Return the subclass of the repository class ``kind`` for ``session``."""
    # Mercurial looks for the hook "incoming" once for each changeset, which is
    # a tenth of the CPU of a clone. Look once if there is one.
    skip_incoming = not hook.hashook(session.repo.ui, b'incoming')

    class pullingrepo(kind):
        def hook(self, name: bytes, *args: Any, **kwargs: Any) -> Any:
            if skip_incoming and name == b'incoming' and session.running:
                return False
            return super().hook(name, *args, **kwargs)

        def file(self, path: bytes, *args: Any, **kwargs: Any) -> Any:
            # hg <= 7.0 does not say whether the file will be written to.
            if session.report.counting and kwargs.get('writable', True):
                session.report.add_file(path)
            return super().file(path, *args, **kwargs)

        # ``shallow.repo`` must not put itself on top again.
        file._shallow = getattr(  # type: ignore[attr-defined]
            kind.file, '_shallow', False
        )

    pullingrepo.__name__ = kind.__name__
    return pullingrepo
