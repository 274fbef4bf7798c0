# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients of object stores, made by the Python package obstore.

This module creates clients and translates their errors. It knows nothing about
blobs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import from_url

from .. import errors

# A failed request is repeated at most this many times, and only within this
# time, because the LFS client waits for it.
RETRIES = 3
RETRY_TIMEOUT = timedelta(seconds=15)


def connect(url: str, options: Mapping[str, str]) -> Any:
    """Return obstore's client for the store at ``url``.

    ``options`` are those of obstore for this kind of store. Raises
    StoreUnavailable.
    """
    if urlsplit(url).scheme == 'file':
        arguments: dict[str, Any] = {'mkdir': True}
    else:
        arguments = {
            'config': dict(options),
            'retry_config': {
                'max_retries': RETRIES,
                'retry_timeout': RETRY_TIMEOUT,
            },
        }
        if options.get('endpoint', '').startswith('http:'):
            # obstore refuses plain HTTP by default, but here the operator has
            # configured it explicitly.
            arguments['client_options'] = {'allow_http': True}
    try:
        return from_url(url, **arguments)
    except (BaseError, ValueError, OSError) as error:
        raise errors.StoreUnavailable(
            'the blob store cannot be opened', detail=_first_line(error)
        ) from error


def from_thread(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield ``blocks``, but compute them in another thread.

    obstore cannot be called from an iterator that obstore itself consumes.
    """
    with ThreadPoolExecutor(1) as pool:
        while block := pool.submit(next, blocks, b'').result():
            yield block


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].strip()


# What stores say when the place itself does not exist: S3 and GCS, then Azure.
# They answer with the status of a missing object.
_NO_PLACE = ('NoSuchBucket', 'ContainerNotFound')


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn errors of obstore into errors of this package."""
    try:
        yield
    except FileNotFoundError as error:
        if any(code in str(error) for code in _NO_PLACE):
            raise errors.StoreUnavailable(
                'the blob store failed',
                detail=f'the bucket does not exist: {_first_line(error)}',
            ) from error
        raise errors.NotFound('the object does not exist') from None
    except (BaseError, OSError) as error:
        raise errors.StoreUnavailable(
            'the blob store failed', detail=_first_line(error)
        ) from error
