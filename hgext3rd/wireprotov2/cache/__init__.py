# SPDX-License-Identifier: GPL-2.0-or-later
"""Responses of commands over immutable data, kept as encoded bytes.

``keys``, ``policy``, ``entry`` and ``events`` are pure. ``memory``,
``directory``, ``redis`` and ``objectstore`` store bytes under keys and know
nothing else; ``base`` is their interface. ``state`` reads from a repository
what a response depends on, and asks ``access`` who may see it. ``factory``
makes the configured cacher. ``service`` answers requests from it, and
``flight`` lets one thread compute for all. Nothing here knows wire frames, HTTP
requests, or how responses are made.
"""
