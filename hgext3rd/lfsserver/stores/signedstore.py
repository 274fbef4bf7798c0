# SPDX-License-Identifier: GPL-2.0-or-later
"""An object store whose clients transfer content by signed links.

Clients upload to ``incoming/<oid>``. The object becomes a blob when its content
has been verified here, so a signed link can neither create a wrong blob nor
replace a good one.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn

import obstore
from obstore.store import AzureStore, GCSStore, S3Store

from .. import errors
from .blobs import Blob, SignedLink
from .content import CheckedContent
from .objectclient import from_thread, translated_errors
from .objectstore import INCOMING, ObjectStore, object_key

# The kinds of stores that can sign links.
SIGNING = (S3Store, GCSStore, AzureStore)

# Bytes of the largest object that S3 copies by one request.
MAX_COPY = 5 * 1024**3


# Bytes of the largest object that a store takes in one request, from the
# documentation of the stores.
_MAX_REQUEST_S3 = 5 * 1024**3
_MAX_REQUEST_AZURE = 5000 * 1024**2
_MAX_REQUEST_GCS = 5 * 1024**4


def _max_request(client: Any) -> int:
    """Return the size of the largest object that is uploaded by one request."""
    if isinstance(client, AzureStore):
        return _MAX_REQUEST_AZURE
    return _MAX_REQUEST_GCS if isinstance(client, GCSStore) else _MAX_REQUEST_S3


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """The limits of uploads in bytes.

    ``size`` is that of any blob (0 means no limit), ``signed`` that of a blob
    that is uploaded by a signed link (0 means what the store accepts).
    """

    size: int = 0
    signed: int = 0


UNLIMITED = UploadLimits()


class SignedObjectStore(ObjectStore):
    """An ObjectStore that also implements SignedLinks.

    Looking up a missing blob settles its upload. ``signer`` is the client that
    signs links. It differs from ``client`` if users reach the store at another
    address than this server does. ``limits`` are those of uploads.
    """

    def __init__(
        self, client: Any, signer: Any, limits: UploadLimits = UNLIMITED
    ) -> None:
        super().__init__(client)
        self._signer = signer
        self._max_size = limits.size
        self.max_upload = limits.signed or _max_request(signer)

    def _blob(self, oid: str) -> Blob | None:
        blob = super()._blob(oid)
        if blob is None:
            # Core's lfs client uploads by links, but never sends the verify
            # request that would settle the upload.
            with suppress(errors.Invalid, errors.TooLarge):
                self.settle(oid)
                blob = super()._blob(oid)
        return blob

    def link(self, method: str, oid: str, lifetime: int) -> SignedLink:
        """See SignedLinks."""
        key = object_key(oid) if method == 'GET' else f'{INCOMING}/{oid}'
        with translated_errors():
            href = obstore.sign(
                self._signer, method, key, timedelta(seconds=lifetime)
            )
        header = {}
        if method == 'PUT' and isinstance(self._signer, AzureStore):
            header['x-ms-blob-type'] = 'BlockBlob'
        return SignedLink(href, header)

    def settle(self, oid: str) -> None:
        """See SignedLinks."""
        incoming = f'{INCOMING}/{oid}'
        with translated_errors():
            found = self._head(incoming)
            if found is None:
                return
            self._check_size(found, incoming)
            if self._head(object_key(oid)) is None:
                self._accept(oid, incoming, found)
            self._delete(incoming)

    def _check_size(self, found: Mapping[str, Any], incoming: str) -> None:
        """Remove an upload that is too large: a link does not limit its size.

        ``found`` is the metadata of the upload or of a copy. Raises TooLarge.
        """
        if self._max_size and found['size'] > self._max_size:
            self._delete(incoming)
            raise errors.object_too_large(self._max_size)

    def _accept(
        self, oid: str, incoming: str, found: Mapping[str, Any]
    ) -> None:
        """Copy an upload to its final key if its content matches ``oid``.

        ``found`` is the metadata of the upload. Raises Invalid and TooLarge.

        Other servers may settle the same upload now, and a client may use its
        link again. So what is verified, and copied to the final key, is a copy
        that nobody else knows, and nothing here ever deletes the final key.
        """
        size = found['size']
        if size > MAX_COPY:
            if self._hash(incoming, size) != oid:
                self._refuse(incoming, found)
            blocks = from_thread(self._blocks(incoming, 0, size))
            self._upload(object_key(oid), oid, CheckedContent(blocks), size)
            return
        copy = f'{incoming}/{secrets.token_hex(16)}'
        try:
            obstore.copy(self._client, incoming, copy)
        except FileNotFoundError:
            # Another server has settled it.
            return
        try:
            copied = obstore.head(self._client, copy)
            self._check_size(copied, incoming)
            if self._hash(copy, copied['size']) != oid:
                self._refuse(incoming, found)
            obstore.copy(self._client, copy, object_key(oid))
        finally:
            self._delete(copy)

    def _refuse(self, incoming: str, found: Mapping[str, Any]) -> NoReturn:
        """Remove an upload with wrong content, but not one that replaced it."""
        now = self._head(incoming)
        if now is not None and now['e_tag'] == found['e_tag']:
            self._delete(incoming)
        raise errors.Invalid('the content does not match its oid')
