# SPDX-License-Identifier: GPL-2.0-or-later
"""The ``hg`` commands of this extension: options and help text only."""

from __future__ import annotations

from typing import Any

from mercurial import cmdutil, pycompat, registrar
from mercurial.i18n import _

from .debug import wire

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

    Every byte sent and received is printed, as are the frames received and
    the decoded responses. What to send is read from standard input, in the
    language of :hg:`debugwireproto`. It consists of blocks: a line without
    indentation, and indented lines that belong to it. Lines beginning with
    ``#`` are ignored.

    command <NAME>
    --------------

    Run a command. The indented lines are its arguments, ``<name> <value>``.
    A value is the inside of a Python bytes literal, or after ``eval:`` a
    Python literal of any type::

      command listkeys
          namespace bookmarks
      command known
          nodes eval:[b'\\x00\\x01']

    batchbegin, batchsubmit
    -----------------------

    Send all commands between these in one request.

    httprequest <METHOD> <PATH>
    ---------------------------

    Send an HTTP request. The indented lines are headers (``<name>: <value>``),
    ``BODYFILE <file>``, whose content becomes the body, and frames of the
    body::

      httprequest POST api/exp-http-v2-0003/ro/heads
          accept: application/mercurial-exp-framing-0006
          content-type: application/mercurial-exp-framing-0006
          frame 1 1 stream-begin command-request new cbor:{b'name': b'heads'}

    The parts of a frame are request id, stream id, stream flags, type, flags
    and payload; flags are joined by ``|``. The payload is a Python literal to
    be encoded after ``cbor:``, else the inside of a bytes literal.

    Returns 0 on success, 255 if the server answers a command with an error.
    """
    wire.run(ui, path, opts)


@command(
    b'admin::wire-warm',
    cmdutil.formatteropts,
    _(b'[-T TEMPLATE]'),
    helpcategory=command.CATEGORY_MAINTENANCE,
    helpbasic=False,
)
def wire_warm(ui: Any, repo: Any, **opts: Any) -> int:
    """build all segments of the history ahead of time

    Clients with this extension clone public history in segments. A server
    that has them in its cache spends almost no time on a clone. This command
    builds those that are missing there, and those that were built in a hurry
    for the client that asked first; they are then smaller, too. Segments that
    are there are not built again: run it as often as you like, for example
    from a hook::

      [hooks]
      txnclose.warm = hg admin::wire-warm --quiet > /dev/null 2>&1 &

    or regularly. It takes no lock, and it can be interrupted and run again.

    The cache is what ``wireprotov2.cacher`` says; see :hg:`help -e
    wireprotov2`.

    Template keywords: ``built`` and ``present`` are numbers of segments,
    ``size`` is how many bytes were built.

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
        fm.data(size=outcome.size)
    return 0
