# SPDX-License-Identifier: GPL-2.0-or-later
"""The ``hg`` commands of this extension: their options and help texts only."""

from __future__ import annotations

from typing import Any

from mercurial import cmdutil, logcmdutil, pycompat, registrar
from mercurial import match as matchmod
from mercurial.i18n import _

cmdtable: dict = {}
command = registrar.command(cmdtable)


@command(
    b'debugwireprotov2',
    [
        (
            b'',
            b'api',
            b'exp-http-v2-0003',
            _(b'generation of the protocol to speak'),
            _(b'NAME'),
        ),
        (
            b'',
            b'content-encoding',
            [],
            _(b'encoding the server may use (default: identity)'),
            _(b'NAME'),
        ),
    ],
    _(b'[OPTION]... URL'),
    norepo=True,
)
def debugwireprotov2(ui: Any, path: bytes, **opts: Any) -> None:
    """send wire protocol version 2 commands to a server

    Prints every byte that is sent and received, the wire frames in it, and the
    decoded responses. Reads what to send from standard input, in the language
    of :hg:`debugwireproto`. It consists of blocks: a line without indentation,
    followed by the indented lines that belong to it. Lines that begin with
    ``#`` are ignored.

    command <NAME>
    --------------

    Run a command. The indented lines are its arguments, ``<name> <value>``.
    A value is the inside of a Python bytes literal, or ``eval:`` followed by
    a Python literal of any type::

      command listkeys
          namespace bookmarks
      command known
          nodes eval:[b'\\x00\\x01']

    batchbegin, batchsubmit
    -----------------------

    Send all commands between these in one request.

    httprequest <METHOD> <PATH>
    ---------------------------

    Send an HTTP request. The indented lines are headers (``<name>:
    <value>``), ``BODYFILE <file>`` to send the content of a file as the body,
    and wire frames of the body::

      httprequest POST api/exp-http-v2-0003/ro/heads
          accept: application/mercurial-exp-framing-0006
          content-type: application/mercurial-exp-framing-0006
          frame 1 1 stream-begin command-request new cbor:{b'name': b'heads'}

    A wire frame consists of request id, stream id, stream flags, type, flags
    and payload. Flags are joined by ``|``. The payload is ``cbor:`` followed by
    a Python literal to encode, or the inside of a bytes literal.

    Returns 0 on success, 255 if the server answers a command with an error.
    """
    from .debug import wire

    wire.run(ui, path, opts)


@command(
    b'admin::wire-warm',
    cmdutil.formatteropts,
    _(b'[-T TEMPLATE]'),
    helpcategory=command.CATEGORY_MAINTENANCE,
    helpbasic=False,
)
def wire_warm(ui: Any, repo: Any, **opts: Any) -> int:
    """build segments of the history ahead of time, clone and pull bundles

    Clients with this extension clone the public history in segments. A server
    that has the segments in its cache spends almost no time on a clone. This
    command builds the segments that are missing in the cache. It also replaces
    those that were built quickly while a client waited, by smaller ones. It
    does not build the others again, so you can run it as often as you like, for
    example in a hook::

      [hooks]
      txnclose.warm = hg admin::wire-warm --quiet > /dev/null 2>&1 &

    If ``wireprotov2.clonebundles`` is set, the command also makes clone bundles
    for clients without this extension. It makes a new one when the last lacks
    5% of the history or more than 1000 changesets, and removes the old one a
    day later. Pull bundles have the changesets of one segment each.

    The command takes no lock, and it can be interrupted and run again.

    The option ``wireprotov2.cacher`` names the cache, see :hg:`help -e
    wireprotov2`.

    Lazy clones (:hg:`clone --lazy`) fetch segments without the content of
    files, the outlines, which the command builds as well.

    Template keywords: ``built`` and ``present`` are numbers of segments,
    ``outlines`` is the number of outlines built, ``size`` the number of bytes
    of all, ``bundlesmade`` and ``bundlesremoved`` are numbers of clone bundles,
    ``pullbundlesmade`` and ``pullbundlesremoved`` those of pull bundles.

    Returns 0 on success.
    """
    from .server import warm

    outcome = warm.warm(ui, repo)
    with ui.formatter(b'wire-warm', pycompat.byteskwargs(opts)) as fm:
        fm.startitem()
        fm.condwrite(
            not ui.quiet,
            b'built present',
            _(b'%d segments built, %d were there already\n'),
            outcome.built,
            outcome.present,
        )
        bundles = outcome.bundles
        fm.condwrite(
            not ui.quiet and (bundles.made or bundles.removed),
            b'bundlesmade bundlesremoved',
            _(b'%d clone bundles made, %d old ones removed\n'),
            bundles.made,
            bundles.removed,
        )
        pulls = outcome.pulls
        fm.condwrite(
            not ui.quiet and (pulls.made or pulls.removed),
            b'pullbundlesmade pullbundlesremoved',
            _(b'%d pull bundles made, %d old ones removed\n'),
            pulls.made,
            pulls.removed,
        )
        fm.data(size=outcome.size, outlines=outcome.outlines)
    return 0


@command(
    b'admin::fetch-files',
    [
        (
            b'r',
            b'rev',
            [],
            _(b'fetch what these changesets contain'),
            _(b'REV'),
        ),
    ],
    _(b'[-r REV]... [FILE]...'),
    helpcategory=command.CATEGORY_MAINTENANCE,
    helpbasic=False,
)
def fetch_files(ui: Any, repo: Any, *pats: bytes, **opts: Any) -> None:
    """fetch the content of files that a lazy or shallow clone lacks

    Without arguments, the content of all revisions of all files is fetched from
    the default path. The repository is an ordinary one then, and works without
    the server and without this extension.

    With ``--rev``, only the files in these changesets are fetched, for example
    before a journey. With ``FILE``, only files that match are.

    The command can be interrupted at any time, and run again: what has been
    stored is not fetched again. Other commands can be used meanwhile.

    Returns 0 on success.
    """
    from .pull import fetchfiles

    revs = list(logcmdutil.revrange(repo, opts['rev']))
    match = matchmod.always()
    if pats:
        match = matchmod.match(
            repo.root, repo.getcwd(), list(pats), default=b'relpath'
        )
    fetchfiles.fetch(repo, revs, match)


@command(
    b'admin::replicas',
    [
        (b'', b'sync', None, _(b'bring replicas up to date now')),
        (b'', b'retry', None, _(b'with --sync: try again for up to an hour')),
        *cmdutil.formatteropts,
    ],
    _(b'[--sync [--retry]] [NAME]...'),
    helpcategory=command.CATEGORY_MAINTENANCE,
    helpbasic=False,
)
def replicas(ui: Any, repo: Any, *names: bytes, **opts: Any) -> int:
    """show how far behind the replicas of this repository are

    The replicas are in the configuration of the repository::

      [replicas]
      eu = https://eu.example.com/project
      us = ssh://hg@us.example.com//srv/hg/project

    Each push starts a process for each of them, which tells it to pull, checks
    that it has everything, and tries again if not: after 1 second, later after
    up to 5 minutes. This command shows what these processes have found last; it
    asks no replica.

    With ``--sync``, replicas are told and asked now. A cron job that does this
    every few minutes repairs what a killed process or a long outage left.

    Template keywords: ``name``, ``url``, ``current`` (whether the replica has
    confirmed all), ``missing`` (the number of changesets that it lacks),
    ``success``, ``attempt``, ``behind`` and ``next`` (dates of the last success
    and attempt, of the first failure since, and of the next attempt),
    ``failures`` (how many attempts failed since), ``error`` (why the last did).

    Returns 0 if all replicas are up to date, 1 otherwise.
    """
    from .replicas import report

    chosen = report.chosen(repo, names)
    if opts['sync']:
        report.synchronize(repo, chosen, bool(opts['retry']))
    with ui.formatter(b'replicas', pycompat.byteskwargs(opts)) as fm:
        return int(not report.show(repo, chosen, fm))
