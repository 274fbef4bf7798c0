# SPDX-License-Identifier: GPL-2.0-or-later
"""Responses of commands over immutable data, kept as encoded bytes.

``keys``, ``policy`` and ``entry`` are pure; ``memory``, ``directory``,
``redis`` and ``objectstore`` store bytes under keys and know nothing else;
``service`` is what command dispatch calls. Nothing here knows frames or HTTP
requests.
"""
