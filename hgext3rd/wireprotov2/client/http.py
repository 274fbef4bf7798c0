# SPDX-License-Identifier: GPL-2.0-or-later
"""HTTP requests to one API of one repository.

Connections are Mercurial's: keep-alive, TLS, proxies, authentication. This
module turns every way an HTTP request can fail into an exception of
``failures``. It knows the media type of the framing, but not the wire frames or
commands inside; ``exchange`` knows these.
"""

from __future__ import annotations

import contextlib
import email.utils
import time
from typing import Any

from mercurial import error, httppeer, pycompat, util
from mercurial.i18n import _
from mercurial.utils import stringutil

from ..proto import frames
from . import connections, failures, logins
from .transport import MAX_WAIT, Transport

urlerr = util.urlerr


class HTTPClient(Transport):
    """Sends requests to one API of one repository over HTTP.

    ``apiurl`` is the URL of the API (".../api/exp-http-v2-0003"). ``opener``
    and ``requestbuilder`` are those of a ``httppeer``. ``ask`` says that the
    user may be asked for a login; without it, only stored credentials are used.
    """

    def __init__(
        self,
        ui: Any,
        opener: Any,
        requestbuilder: Any,
        apiurl: bytes,
        framing: frames.Framing = frames.FRAMING_0006,
        ask: bool = False,
    ) -> None:
        super().__init__(ui, apiurl, framing)
        self._opener = opener
        self._requestbuilder = requestbuilder
        self._apiurl = apiurl
        # Who cannot be asked gets the same error as who must not be.
        self._ask = ask and ui.interactive()

    def post(self, name: bytes, body: bytes) -> Any:
        """Send a request; return the HTTP response, whose body is wire frames.

        ``name`` is the last part of the URL: the name of a command, or
        ``multirequest``. Raises ``failures.RemoteFailure``.
        """
        mediatype = pycompat.sysstr(self.framing.mediatype)
        request = self._requestbuilder(
            pycompat.strurl(b'%s/ro/%s' % (self._apiurl, name)),
            body,
            {'Accept': mediatype, 'Content-Type': mediatype},
        )
        request.paced = True
        try:
            response = self._send(request)
        except urlerr.httperror as exc:
            raise self._http_failure(exc) from exc
        except urlerr.urlerror as exc:
            raise self.connection_lost(exc.reason) from exc
        except OSError as exc:
            raise self.connection_lost(exc) from exc
        got = response.headers.get('Content-Type', '')
        if got.partition(';')[0].strip().lower() != mediatype:
            response.close_connection()
            raise failures.RemoteFailure(
                self.url,
                _(b'the response has a wrong type (%s)')
                % (stringutil.escapestr(got.encode('latin-1')) or b'none'),
            )
        return response

    def _send(self, request: Any) -> Any:
        """Send a request with the credentials that are known or asked for.

        Raises ``failures.RemoteFailure``, ``urlerr.urlerror`` or ``OSError``.
        """
        opener = self._opener
        with contextlib.ExitStack() as stack:
            stack.enter_context(logins.forget_refused(opener))
            if not self._ask:
                stack.enter_context(logins.stored_only(opener))
            try:
                return httppeer.sendrequest(self.ui, opener, request)
            except error.Abort as exc:
                # Mercurial makes an error of its own of the status 401.
                cause = exc.__context__
                if isinstance(cause, urlerr.httperror) and cause.code == 401:
                    raise cause from None
                raise
            except ValueError as exc:
                # The server demands a login of a kind that urllib cannot do.
                raise failures.LoginRequired(
                    self.url, stringutil.forcebytestr(exc)
                ) from exc

    def read_some(self, response: Any, size: int) -> bytes:
        """Return up to ``size`` bytes of the body of ``response``.

        Waits for the first byte only; empty at the end of the body. Raises
        ``failures.ConnectionFailure``.
        """
        try:
            data: bytes = response.read1(size)
        except (OSError, util.httplib.HTTPException) as exc:
            raise self.connection_lost(exc) from exc
        # Mercurial's response class counts bytes in read(), not in read1().
        self._opener.receivedbytescount += len(data)
        return data

    def _http_failure(self, exc: Any) -> failures.RemoteFailure:
        """Return the failure for an answer with an HTTP error status."""
        connections.dismiss(exc)
        reason = _(b'HTTP error %d: %s') % (
            exc.code,
            stringutil.escapestr(pycompat.sysbytes(str(exc.reason))),
        )
        wait = retry_after(exc.headers.get('Retry-After'))
        return failures.of_status(self.url, exc.code, reason, wait)


def retry_after(header: str | None) -> float:
    """Return the seconds that a header ``Retry-After`` asks for, or 0.

    It holds a number of seconds or a date (RFC 9110, section 10.2.3).
    """
    if not header:
        return 0
    value = header.strip()
    if value.isascii() and value.isdigit():
        return min(float(value), MAX_WAIT)
    try:
        date = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return 0
    return max(0.0, date.timestamp() - time.time())
