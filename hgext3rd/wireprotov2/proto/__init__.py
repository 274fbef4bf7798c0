# SPDX-License-Identifier: GPL-2.0-or-later
"""Wire protocol version 2 without I/O: bytes in, events and bytes out.

Nothing in this package may import Mercurial, open a socket or a file, or know
a repository. ``frames`` and ``cbor`` are codecs and ``streams`` has the content
encodings. ``requests`` and ``responses`` are the messages of the two ends,
``events`` what they report, ``states`` what is allowed when, and ``contract``
how received bytes are read. ``client`` and ``server`` are the two ends;
``assembly`` puts together the commands that a server receives.
"""
