# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands a server answers, one module per family.

``registry`` says what a command is, ``apis`` has the tables of commands. The
other modules make the bytes of responses from a repository. What a requester may
see is for ``access`` to decide. Nothing here knows HTTP or frames.
"""
