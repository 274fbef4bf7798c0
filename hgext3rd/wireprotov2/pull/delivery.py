# SPDX-License-Identifier: GPL-2.0-or-later
"""Getting segments to whoever applies them, several at a time and in order.

Downloads run ahead in threads, are kept if they are interrupted, and are shown
as progress. How segments are applied is the caller's business.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import IO, Any

from mercurial.i18n import _

from ..client import failures
from ..client.endpoint import Endpoint
from .ahead import Fetcher
from .fetch import SegmentSource
from .listing import ListedSegment
from .parts import Parts

# Segments that have arrived are applied together in one transaction, up to this
# sum of their estimates in bytes. That saves time, since opening a file again
# for each segment costs as much as storing a revision. With a higher limit, an
# interruption would lose more.
MOST_TOGETHER = 32 * 1024 * 1024

# Segments smaller than this are applied one by one: that costs next to nothing.
LEAST_TOGETHER = 256 * 1024

#: Applies segments, whose files are at their beginning, in one transaction.
Apply = Callable[[Sequence[ListedSegment], Sequence[IO[bytes]]], None]


class Delivery:
    """Fetches ``segments`` for ``repo``.

    ``outline`` says that their files are wanted without their data.
    """

    def __init__(
        self,
        repo: Any,
        endpoint: Endpoint,
        segments: Sequence[ListedSegment],
        outline: bool,
    ) -> None:
        self._repo = repo
        self._endpoint = endpoint
        self._segments = segments
        self._outline = outline
        self._total = sum(segment.changesets for segment in segments)
        self._estimate = sum(segment.estimate for segment in segments)
        self._parts = Parts(repo.vfs)
        #: how many changesets the segments have that were applied
        self.position = 0

    def run(self, apply: Apply, topic: bytes) -> int:
        """Call ``apply`` for all segments; return how many there were.

        ``topic`` is that of the progress bar. What has arrived of segments that
        are not applied is kept if it may be needed again: if the connection
        breaks, if the list of segments has changed, or if the user interrupts
        this. Raises ``failures.RemoteFailure``, and what ``apply`` raises.
        """
        self._parts.keep_only([segment.name for segment in self._segments])
        try:
            return self._run(apply, topic)
        except (
            failures.ConnectionFailure,
            failures.CommandRefused,
            KeyboardInterrupt,
        ):
            raise
        except BaseException:
            self._parts.forget()
            raise

    def _run(self, apply: Apply, topic: bytes) -> int:
        ui = self._repo.ui
        ui.status(
            _(b'fetching %d changesets in %d segments\n')
            % (self._total, len(self._segments))
        )
        connections = max(1, ui.configint(b'wireprotov2', b'connections'))
        fetcher = Fetcher(self._segments, connections, self._make_source)
        down = ui.makeprogress(
            _(b'downloading'), unit=_(b'bytes'), total=self._estimate
        )
        done = ui.makeprogress(topic, unit=_(b'changesets'), total=self._total)

        def waiting() -> None:
            total = max(self._estimate, fetcher.bytes)
            down.update(fetcher.bytes, total=total)

        try:
            index = 0
            while index < len(self._segments):
                streams = [fetcher.take(index, waiting)]
                most = self._together(index)
                with contextlib.ExitStack() as stack:
                    stack.enter_context(streams[0])
                    for stream in fetcher.take_more(index + 1, most - 1):
                        streams.append(stack.enter_context(stream))
                    segments = self._segments[index : index + len(streams)]
                    apply(segments, streams)
                    for segment in segments:
                        self._parts.remove(segment.name)
                index += len(segments)
                self.position += sum(s.changesets for s in segments)
                done.update(self.position)
                waiting()
        finally:
            fetcher.stop()
            down.complete()
            done.complete()
        return len(self._segments)

    def _together(self, index: int) -> int:
        """Return how many segments from ``index`` on can be applied at once."""
        size = 0
        for count, segment in enumerate(self._segments[index:]):
            size += segment.estimate
            if segment.estimate < LEAST_TOGETHER or size > MOST_TOGETHER:
                return max(1, count)
        return len(self._segments) - index

    def _make_source(self, received: Callable[[int], None]) -> SegmentSource:
        """Return a source with connections of its own."""
        endpoint = self._endpoint
        assert endpoint.api is not None
        return SegmentSource(
            self._repo.ui,
            endpoint.separate_client(),
            endpoint.targets(),
            received,
            self._parts,
            endpoint.api.has_argument(b'segmentdata', b'offset'),
            self._outline,
        )
