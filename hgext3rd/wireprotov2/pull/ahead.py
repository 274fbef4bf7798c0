# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetching segments in several threads, ahead of the thread that applies them.

Knows the order of the segments and which have arrived. The caller provides a
source for each thread, which knows how a segment is fetched.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import IO

from .fetch import SegmentSource
from .listing import ListedSegment

# Seconds to wait for more segments to apply in the same transaction.
PATIENCE = 0.3


class Fetcher:
    """Fetches ``segments`` with up to ``connections`` threads.

    ``make_source`` returns the source of one thread. Its argument is the
    function to which the source reports received bytes. The segments that were
    fetched and not taken are at most two more than the threads. The threads are
    daemons: a connection that hangs must not keep the process from ending.
    """

    def __init__(
        self,
        segments: Sequence[ListedSegment],
        connections: int,
        make_source: Callable[[Callable[[int], None]], SegmentSource],
    ) -> None:
        self._segments = segments
        # Segments that were fetched and not taken, by index; or the reason why
        # one cannot be fetched.
        self._ready: dict[int, IO[bytes] | BaseException] = {}
        self._changed = threading.Condition()
        # The index of the next segment to fetch, and of the last one taken.
        self._next = 0
        self._taken = 0
        self._stopped = False
        #: bytes received so far
        self.bytes = 0
        # For one or two segments, a thread of its own costs more than it gains.
        count = max(1, min(connections, len(segments) // 2))
        self._ahead = count + 2
        # Made in this thread, because that may ask the user for a password.
        sources = [make_source(self._received) for _index in range(count)]
        for source in sources:
            threading.Thread(
                target=self._work, args=(source,), daemon=True
            ).start()

    def _received(self, size: int) -> None:
        """Count received bytes; raise ``_Stopped`` if they are not needed."""
        with self._changed:
            if self._stopped:
                raise _Stopped
            self.bytes += size

    def _work(self, source: SegmentSource) -> None:
        """Fetch segments until none is left or one fails: runs in a thread."""
        while True:
            with self._changed:
                while (
                    self._next >= self._taken + self._ahead
                    and not self._stopped
                ):
                    self._changed.wait()
                index = self._next
                if self._stopped or index >= len(self._segments):
                    return
                self._next += 1
            result: IO[bytes] | BaseException
            try:
                result = source.fetch(self._segments[index])
            except _Stopped:
                return
            except BaseException as exc:
                # ``take`` raises it in the thread of the caller.
                result = exc
            with self._changed:
                if self._stopped:
                    if not isinstance(result, BaseException):
                        result.close()
                    return
                self._ready[index] = result
                self._changed.notify_all()
            if isinstance(result, BaseException):
                return

    def take(self, index: int, waiting: Callable[[], None]) -> IO[bytes]:
        """Return the file of segment ``index``. Take segments in order.

        ``waiting`` is called several times a second until the segment is there.
        Raises what fetching it raised.
        """
        with self._changed:
            self._taken = index
            self._changed.notify_all()
            while index not in self._ready:
                self._changed.wait(0.2)
                waiting()
            result = self._ready.pop(index)
        if isinstance(result, BaseException):
            raise result
        return result

    def take_more(self, index: int, most: int) -> list[IO[bytes]]:
        """Return the files of up to ``most`` segments from ``index`` on.

        These are the segments that have arrived or arrive within ``PATIENCE``
        seconds, up to the first that does not.
        """
        found: list[IO[bytes]] = []
        until = time.monotonic() + PATIENCE
        most = min(most, len(self._segments) - index, self._ahead - 1)
        with self._changed:
            while len(found) < most:
                result = self._ready.get(index)
                if isinstance(result, BaseException):
                    # ``take`` raises it when the caller takes this segment.
                    break
                if result is not None:
                    del self._ready[index]
                    found.append(result)
                    index += 1
                    continue
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            self._taken = index - 1
            self._changed.notify_all()
        return found

    def stop(self) -> None:
        """End the threads and drop the segments that were not taken."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            for result in self._ready.values():
                if not isinstance(result, BaseException):
                    result.close()
            self._ready.clear()


class _Stopped(Exception):
    """The fetcher was stopped, so the segment is not needed any more."""
