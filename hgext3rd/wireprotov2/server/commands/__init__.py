# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands a server answers, one module per family.

``registry`` says what a command is, ``apis`` has the tables of commands. The
other modules make the bytes of responses from a repository. ``access`` decides
what a requester may see. Nothing here knows HTTP or wire frames.
"""
