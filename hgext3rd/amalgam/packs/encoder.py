# SPDX-License-Identifier: GPL-2.0-or-later
"""Write a pack from the revisions of a segment, in their order.

This is where the order of blocks is decided: when a frame, an index, and the
changesets end. ``changesetwriter``, ``framewriter`` and ``linewriter`` make the
blocks, ``choosing`` the content of frames.

This module performs no I/O: the caller feeds revisions and takes bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..codecs import chunks
from . import choosing, layout, linewriter
from .changesetwriter import ChangesetWriter
from .derivation import Derivation
from .framewriter import FrameWriter
from .layout import Revision, StoredRevision
from .linewriter import LineWriter
from .sizes import Sizes
from .texts import Texts

#: Revisions at which the index of the lines since the last one is written.
INDEX_REVISIONS = 16_000


@dataclass(frozen=True, slots=True)
class Effort:
    """How small a pack becomes, and what that takes.

    ``level`` is that of zstd. Frames end at ``frame_bytes`` of entries, by the
    kind of their lines: more bytes compress better, and take longer to read for
    one revision. ``compare`` chooses the smallest of several deltas.
    """

    level: int
    frame_bytes: Mapping[bytes, int] = field(
        default_factory=lambda: {layout.MANIFEST: 1 << 20, layout.FILE: 1 << 20}
    )
    compare: bool = False


class Encoder:
    """Writes one pack.

    Call ``changeset`` for all changesets, then ``begin`` and ``revision`` for
    each line, then ``finish``. After each call, ``take`` returns the bytes that
    are complete. ``trees`` says that the repository has tree manifests.
    """

    def __init__(
        self, texts: Texts, effort: Effort, trees: bool = False
    ) -> None:
        self._effort = effort
        self._codec = chunks.Codec('zstd', effort.level)
        self._derivation = Derivation()
        self._changesets = ChangesetWriter(texts, self._codec)
        self._sizes = Sizes(texts)
        choice = choosing.Tightest if effort.compare else choosing.TakenOver
        self._choice: choosing.Choice = choice(texts, self._sizes)
        self._out: list[bytes] = [
            layout.HEAD.pack(
                layout.MAGIC, layout.VERSION, layout.TREES if trees else 0
            )
        ]
        self._names: dict[bytes, list[bytes]] = {
            layout.MANIFEST: [],
            layout.FILE: [],
        }
        self._named = 0
        self._line: LineWriter | None = None
        # The complete lines that are in no index, and their revisions.
        self._lines: list[LineWriter] = []
        self._unindexed = 0
        self._frame: FrameWriter | None = None
        self._frames = 0
        self._revisions = 0

    @property
    def derivation(self) -> Derivation:
        """What the changesets and manifests that were added say of nodes."""
        return self._derivation

    def take(self) -> list[bytes]:
        """Return the bytes that were completed since the last call."""
        out, self._out = self._out, []
        return out

    def changeset(self, revision: Revision) -> None:
        """Add the next changeset as it comes in a changegroup."""
        text = self._changesets.text(revision)
        node, p1, p2 = revision[:3]
        self.stored_changeset(node, p1, p2, revision.flags, text)

    def stored_changeset(
        self, node: bytes, p1: bytes, p2: bytes, flags: int, text: bytes
    ) -> None:
        """Add the next changeset."""
        self._changesets.add(node, p1, p2, flags, text)
        self._derivation.add_changesets([text])
        if self._changesets.full:
            self._out.extend(self._changesets.take())

    def begin(self, kind: bytes, name: bytes) -> None:
        """Begin the line of a directory or file. Its revisions follow."""
        self._out.extend(self._changesets.take())
        self._end_line()
        frame = self._frame
        if frame is not None and (
            frame.kind != kind
            or frame.is_large
            or frame.is_full(self._effort.frame_bytes[kind])
        ):
            self._end_frame()
        if self._lines and (
            self._lines[0].kind != kind or self._unindexed >= INDEX_REVISIONS
        ):
            self._end_frame()
            self._write_index()
        self._line = LineWriter(kind, name, len(self._names[kind]))
        self._sizes.begin()
        self._choice.begin()

    def revision(self, revision: Revision) -> None:
        """Add the next revision of the line as it comes in a changegroup."""
        assert self._line is not None
        self.stored_revision(self._sizes.stored(self._line, revision))

    def stored_revision(self, revision: StoredRevision) -> None:
        """Add the next revision of the line."""
        line = self._line
        assert line is not None
        link = self._changesets.positions.get(revision.link)
        if link is None:
            raise ValueError('a revision of a changeset outside of the pack')
        if not line.nodes:
            # Lines without revisions are left out.
            names = self._names[line.kind]
            if not names:
                self._named = 0
            names.append(line.name)
        frame = self._frame
        if frame is not None and frame.is_full(
            self._effort.frame_bytes[line.kind]
        ):
            self._end_frame()
            frame = None
        if frame is None:
            frame = self._frame = FrameWriter(self._frames, line.kind)
            self._frames += 1
        data, base, size, outside = self._choice.entry(
            line, frame.number, revision
        )
        place = frame.add(
            line.number,
            len(line.nodes),
            link,
            data,
            line.places[base] if isinstance(base, int) else base,
            outside,
        )
        if line.kind == layout.MANIFEST:
            if base is None:
                self._derivation.add_text(line.name, link, data)
            else:
                self._derivation.add_delta(line.name, link, data)
        line.add(revision, link, size, frame.number, place)

    def _end_line(self) -> None:
        line, self._line = self._line, None
        if line is not None and line.nodes:
            self._lines.append(line)
            self._unindexed += len(line.nodes)

    def _end_frame(self) -> None:
        """Write the frame that is being filled, and the names of its lines."""
        frame, self._frame = self._frame, None
        if frame is None:
            return
        names = self._names[frame.kind]
        if self._named < len(names):
            new = names[self._named :]
            self._named = len(names)
            self._out.append(
                layout.block(
                    layout.NAMES,
                    layout.join(
                        frame.kind,
                        b'%d' % len(new),
                        self._codec.encode(b'\0'.join(new)),
                    ),
                )
            )
        self._out.extend(frame.blocks(self._codec))

    def _write_index(self) -> None:
        """Write the index of the lines that were completed."""
        lines, self._lines, self._unindexed = self._lines, [], 0
        if lines:
            self._revisions += sum(len(line.nodes) for line in lines)
            self._out.append(
                linewriter.index_block(lines, self._derivation, self._codec)
            )

    def finish(self) -> None:
        """Complete the pack."""
        self._out.extend(self._changesets.take())
        self._end_line()
        self._end_frame()
        self._write_index()
        self._out.append(
            layout.block(
                layout.END,
                b'%d %d %d'
                % (
                    len(self._changesets.positions),
                    self._revisions,
                    self._frames,
                ),
            )
        )
