# SPDX-License-Identifier: GPL-2.0-or-later
"""Wire protocol version 2 without I/O: bytes in, events and bytes out.

Nothing in this package may import Mercurial, open a socket or a file, or know a
repository. A *frame* in this package is always a wire frame. ``frames`` and
``cbor`` are codecs, and ``streams`` has the content encodings. ``requests`` and
``responses`` build and read the messages of the client and of the server.
``events`` has what the two ends report to their callers. ``states`` says which
frames are allowed when. ``contract`` is the interface of everything that reads
received bytes. ``client`` and ``server`` are the two ends; ``assembly`` puts
together the commands that a server receives.
"""
