# SPDX-License-Identifier: GPL-2.0-or-later
"""A cacher in an object store: S3, Google, Azure, memory or local files.

Without redirects an entry is one object. With redirects the body is an object
of its own, with exactly the bytes that a client fetches, and the header is
another. The header is written last, so where there is a header there is a body.
The lifecycle rules of the store remove old objects.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from mercurial import demandimport

from ..proto import cbor
from . import base, entry

with demandimport.deactivated():
    try:
        import obstore
        import obstore.exceptions
        import obstore.store
    except ImportError as e:
        raise base.CacherConfigError('the obstore package is missing') from e

#: The name of the redirect target.
TARGET = b'objectstore'

#: How long a signed URL works. A client uses it at once but may be slow.
SIGNED_FOR = datetime.timedelta(hours=1)

#: How long the signed URL of a file works. No store signs for longer.
FILE_SIGNED_FOR = datetime.timedelta(days=7)

#: How long one request waits for the store.
CLIENT_OPTIONS: Any = {'connect_timeout': '2s', 'timeout': '30s'}
#: Options that are given replace those from the environment, so these variables
#: are read here.
ALLOW_HTTP = ('AWS_ALLOW_HTTP', 'AZURE_ALLOW_HTTP', 'GOOGLE_ALLOW_HTTP')
RETRY: Any = {'max_retries': 1, 'retry_timeout': datetime.timedelta(seconds=5)}

#: Objects never change, so caches in front of the store may keep them.
ATTRIBUTES: Any = {
    'Content-Type': cbor.MEDIA_TYPE.decode(),
    'Cache-Control': 'public, max-age=31536000, immutable',
}

#: Everything that obstore raises: errors of its own, and for some failures
#: (missing object, no permission, unsupported operation) those of Python.
_ERRORS = (
    obstore.exceptions.BaseError,
    OSError,
    NotImplementedError,
    ValueError,
)


#: The kinds of stores that can sign URLs.
_SIGNING = (
    obstore.store.S3Store,
    obstore.store.GCSStore,
    obstore.store.AzureStore,
)


class ObjectStoreCacher(base.Cacher):
    """Keeps entries below ``url``.

    With ``redirect``, clients fetch bodies themselves: at ``public_url`` plus
    the path of the object, or at signed URLs. Raises ``CacherConfigError`` if
    the store or a URL cannot work.
    """

    def __init__(
        self, url: str, redirect: bool = False, public_url: str | None = None
    ) -> None:
        self._store = _open(url)
        self._attributes = None if _is_local(self._store) else ATTRIBUTES
        self._public_url = public_url.rstrip('/') if public_url else None
        self._targets: tuple[base.Target, ...] = ()
        if redirect:
            self._targets = (self._target(),)

    def _target(self) -> base.Target:
        """Return where clients fetch bodies."""
        prefix = self._public_url
        if prefix is None:
            sample = urlsplit(self._url('sample'))
            path = sample.path[: -len('sample')]
            prefix = f'{sample.scheme}://{sample.netloc}{path}'
        scheme = urlsplit(prefix).scheme
        if scheme not in ('http', 'https'):
            raise base.CacherConfigError(
                'wireprotov2.cacher.objectstore.public-url must be an http '
                'or https URL'
            )
        return base.Target(TARGET, scheme.encode(), (prefix.encode(),))

    @property
    def reachable(self) -> bool:
        """Whether clients can fetch files from the store."""
        return self._public_url is not None or isinstance(self._store, _SIGNING)

    def publish(self, name: bytes, path: bytes) -> None:
        """Keep a local file as ``name``. Raises ``CacherError``."""
        with _errors(), open(path, 'rb') as stream:
            obstore.put(self._store, _file(name), stream)

    def url(self, name: bytes) -> bytes:
        """Return where clients can fetch the file ``name``.

        Raises ``CacherError``.
        """
        return self._url(_file(name), FILE_SIGNED_FOR).encode()

    def withdraw(self, name: bytes) -> None:
        """Remove the file ``name``. Raises ``CacherError``."""
        with _errors(), contextlib.suppress(FileNotFoundError):
            obstore.delete(self._store, _file(name))

    def _url(self, path: str, valid: datetime.timedelta = SIGNED_FOR) -> str:
        """Return the URL at which clients fetch the object at ``path``."""
        if self._public_url is not None:
            return f'{self._public_url}/{path}'
        if not isinstance(self._store, _SIGNING):
            raise base.CacherConfigError(
                'this object store cannot sign URLs: set '
                'wireprotov2.cacher.objectstore.public-url'
            )
        with _errors():
            return obstore.sign(self._store, 'GET', path, valid)

    def get(self, key: bytes) -> bytes | None:
        """Return the data under ``key``, or None. Raises ``CacherError``."""
        name = key.decode('ascii')
        if not self._targets:
            return self._get(f'entries/{name}')
        header = self._get(f'headers/{name}')
        if header is None:
            return None
        body = self._get(f'bodies/{name}')
        return None if body is None else header + body

    def head(self, key: bytes, size: int) -> bytes | None:
        """Return the first ``size`` bytes under ``key``, or None.

        With redirects, nothing beyond the header of the entry is returned.
        Raises ``CacherError``.
        """
        name = key.decode('ascii')
        if self._targets:
            header = self._get(f'headers/{name}')
            return None if header is None else header[:size]
        with _errors():
            try:
                return bytes(
                    obstore.get_range(
                        self._store, f'entries/{name}', start=0, length=size
                    )
                )
            except FileNotFoundError:
                return None

    def _get(self, path: str) -> bytes | None:
        with _errors():
            try:
                return bytes(obstore.get(self._store, path).bytes())
            except FileNotFoundError:
                return None

    def put(self, key: bytes, data: bytes) -> None:
        """Keep ``data`` under ``key``. Raises ``CacherError``."""
        name = key.decode('ascii')
        if not self._targets:
            self._put(f'entries/{name}', data)
            return
        self._put(f'bodies/{name}', data[entry.HEADER_SIZE :])
        self._put(f'headers/{name}', data[: entry.HEADER_SIZE])

    def _put(self, path: str, data: bytes) -> None:
        with _errors():
            obstore.put(self._store, path, data, attributes=self._attributes)

    def remove(self, key: bytes) -> None:
        """Forget what is under ``key``. Raises ``CacherError``."""
        name = key.decode('ascii')
        folders = ('headers', 'bodies') if self._targets else ('entries',)
        with _errors():
            for folder in folders:
                with contextlib.suppress(FileNotFoundError):
                    obstore.delete(self._store, f'{folder}/{name}')

    def targets(self) -> tuple[base.Target, ...]:
        """Return where clients may be sent for bodies."""
        return self._targets

    def locate(self, key: bytes) -> base.BodyLocation | None:
        """Return where a client can fetch the body of ``key``, or None.

        Raises ``CacherError``.
        """
        if not self._targets:
            return None
        name = key.decode('ascii')
        data = self._get(f'headers/{name}')
        if data is None:
            return None
        try:
            header = entry.decode_header(key, data)
        except entry.EntryError:
            return None
        url = self._url(f'bodies/{name}').encode()
        return base.BodyLocation(url, header.size, header.sha256)


def _file(name: bytes) -> str:
    """Return the path of the object of a file."""
    return f'bundles/{name.decode("ascii")}'


def _open(url: str) -> Any:
    """Return the store at ``url``. Raises ``CacherConfigError``."""
    scheme = urlsplit(url).scheme
    with _errors(base.CacherConfigError):
        if scheme == 'file':
            return obstore.store.from_url(url, mkdir=True)
        if scheme == 'memory':
            return obstore.store.from_url(url)
        allow_http = any(
            os.environ.get(name, '').lower() in ('true', '1')
            for name in ALLOW_HTTP
        )
        return obstore.store.from_url(
            url,
            client_options={**CLIENT_OPTIONS, 'allow_http': allow_http},
            retry_config=RETRY,
        )


def _is_local(store: Any) -> bool:
    return isinstance(store, obstore.store.LocalStore)


@contextlib.contextmanager
def _errors(
    kind: type[base.CacherError] = base.CacherError,
) -> Iterator[None]:
    """Turn errors of obstore into ``kind``."""
    try:
        yield
    except _ERRORS as e:
        # The first line is the message; more lines describe Rust objects.
        line = (str(e).splitlines() or [type(e).__name__])[0]
        raise kind(f'object store: {line}') from e


def from_settings(settings: base.Settings) -> ObjectStoreCacher:
    """Return the cacher that ``[wireprotov2]`` describes.

    Raises ``CacherConfigError``.
    """
    url = settings.get(b'objectstore.url', None)
    if not url:
        raise base.CacherConfigError(
            'wireprotov2.cacher.objectstore.url is not set'
        )
    public_url = settings.get(b'objectstore.public-url', None)
    return ObjectStoreCacher(
        url.decode('utf-8'),
        settings.get_bool(b'objectstore.redirect', False),
        public_url.decode('utf-8') if public_url else None,
    )
