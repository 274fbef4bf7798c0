# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands a server answers, one module per family.

``registry`` declares them as data; the modules produce the bytes of a
response from a repository. Nothing here knows HTTP or frames.
"""
