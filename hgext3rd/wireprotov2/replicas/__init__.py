# SPDX-License-Identifier: GPL-2.0-or-later
"""Replicas: told of each push, they pull, and the primary checks what they have.

The primary has their URLs in its configuration, a replica that of its source. One
process brings one replica up to date, so that a replica that does not answer holds
up no other. Nothing here knows how changesets are sent or stored: a replica pulls
as any client does.
"""
