# SPDX-License-Identifier: GPL-2.0-or-later
"""Wire protocol version 2 without I/O: bytes in, events and bytes out.

Nothing in this package may import Mercurial, open a socket or a file, or know
a repository. ``frames`` and ``cbor`` are codecs, ``streams`` the content
encodings, ``events`` the vocabulary, ``server`` and ``client`` the two ends.
"""
