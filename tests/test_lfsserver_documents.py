# SPDX-License-Identifier: GPL-2.0-or-later
"""The JSON documents: literal documents, and random input to the parsers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.lfsserver import errors
from hgext3rd.lfsserver.formats import batches, documents, lockrequests

OID = '31cf46fbc4ecd458a0943c5b4881f1f5a6dd36c53d6167d5b69ac45149b38e5b'

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([OID, 'upload', 'download', 'basic']),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ['operation', 'objects', 'oid', 'size', 'transfers', 'ref']
                + ['hash_algo', 'name', 'path', 'cursor', 'limit', 'force']
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)

parsers = [
    lambda data: batches.parse_batch(data, 10),
    batches.parse_pointer,
    lockrequests.parse_lock,
    lockrequests.parse_lock_verify,
    lockrequests.parse_unlock,
]


@given(values | st.binary())
def test_parsers_raise_only_client_errors(value: object) -> None:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    for parse in parsers:
        try:
            parse(data)
        except errors.LfsServerError as error:
            assert 400 <= error.status < 500
            assert json.loads(documents.encode_error(error.message))['message']


def test_batch() -> None:
    # From git-lfs 3.3.0.
    data = (
        b'{"operation":"upload","objects":[{"oid":"%s","size":12}],'
        b'"transfers":["lfs-standalone-file","basic","ssh"],'
        b'"ref":{"name":"refs/heads/main"},"hash_algo":"sha256"}\n'
    ) % OID.encode()
    assert batches.parse_batch(data, 1) == batches.BatchRequest(
        'upload',
        (batches.Pointer(OID, 12),),
        'refs/heads/main',
        frozenset({'lfs-standalone-file', 'basic', 'ssh'}),
    )
    # From core's lfs client.
    data = (
        b'{"objects": [{"oid": "%s", "size": 12}], "operation": "download"}'
    ) % OID.encode()
    assert batches.parse_batch(data, 1) == batches.BatchRequest(
        'download', (batches.Pointer(OID, 12),), None
    )


def test_batch_keeps_invalid_objects_among_valid_ones() -> None:
    entries = [
        {'oid': OID, 'size': 1},
        {'oid': OID, 'size': -1},
        {'oid': OID.upper(), 'size': 1},
    ]
    document = {'operation': 'upload', 'objects': entries, 'transfers': []}
    batch = batches.parse_batch(json.dumps(document).encode(), 3)
    problems = [pointer.problem for pointer in batch.objects]
    assert problems[0] is None
    assert '"size"' in (problems[1] or '')
    assert '"oid"' in (problems[2] or '')
    document['objects'] = entries[1:]
    with pytest.raises(errors.Invalid, match='"size"'):
        batches.parse_batch(json.dumps(document).encode(), 3)


def test_encode_batch() -> None:
    action = batches.Action('http://h/x', {'Authorization': 'Basic eA=='}, 600)
    results = [
        batches.ObjectResult(OID, 12, {'download': action}, True),
        batches.ObjectResult(OID, 13),
        batches.ObjectResult(OID, 14, error=(404, 'The object does not exist')),
        batches.ObjectResult(OID, 15, {'upload': action}),
    ]
    assert batches.encode_batch(results, 1e9) == (
        b'{"transfer":"basic","objects":['
        b'{"oid":"%(oid)s","size":12,"authenticated":true,"actions":'
        b'{"download":{"href":"http://h/x",'
        b'"header":{"Authorization":"Basic eA=="},"expires_in":600,'
        b'"expires_at":"2001-09-09T01:56:40Z"}}},'
        b'{"oid":"%(oid)s","size":13},'
        b'{"oid":"%(oid)s","size":14,"error":'
        b'{"code":404,"message":"The object does not exist"}},'
        b'{"oid":"%(oid)s","size":15,"actions":'
        b'{"upload":{"href":"http://h/x",'
        b'"header":{"Authorization":"Basic eA=="},"expires_in":600,'
        b'"expires_at":"2001-09-09T01:56:40Z"}}}'
        b'],"hash_algo":"sha256"}'
    ) % {b'oid': OID.encode()}


def test_locks() -> None:
    assert lockrequests.parse_lock(b'{"path":"a","ref":{"name":"r"}}') == (
        lockrequests.LockRequest('a', 'r')
    )
    # git-lfs sends this while HEAD is detached.
    assert lockrequests.parse_lock(b'{"path":"a","ref":{"name":""}}') == (
        lockrequests.LockRequest('a', None)
    )
    assert lockrequests.parse_lock_verify(b'') == (
        lockrequests.LockVerifyRequest(None, None, None)
    )
    assert lockrequests.parse_lock_verify(b'{"cursor":"5","limit":2}') == (
        lockrequests.LockVerifyRequest(None, '5', 2)
    )
    assert lockrequests.parse_unlock(b'') == lockrequests.UnlockRequest(
        False, None
    )
    assert lockrequests.parse_unlock(b'{"force":true}') == (
        lockrequests.UnlockRequest(True, None)
    )


def test_pointer() -> None:
    data = json.dumps({'oid': OID, 'size': 5}).encode()
    assert batches.parse_pointer(data) == batches.Pointer(OID, 5)
    with pytest.raises(errors.Invalid):
        batches.parse_pointer(json.dumps({'oid': 'x', 'size': 5}).encode())


@pytest.mark.parametrize(
    'data, error',
    [
        (b'{', errors.BadRequest),
        (b'[]', errors.Invalid),
        (b'{"path":5}', errors.Invalid),
        (b'{"path":""}', errors.Invalid),
        (b'{"path":"\\ud800"}', errors.Invalid),
        (b'{"path":"a\\u0000"}', errors.Invalid),
        (b'{"path":"a","ref":5}', errors.Invalid),
    ],
)
def test_invalid_locks(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        lockrequests.parse_lock(data)


@pytest.mark.parametrize(
    'changes, error',
    [
        ({'operation': 'erase'}, errors.Invalid),
        ({'transfers': 'basic'}, errors.Invalid),
        ({'transfers': ['ssh']}, errors.Invalid),
        ({'hash_algo': 'md5'}, errors.Conflict),
        ({'objects': {}}, errors.Invalid),
        ({'objects': [5]}, errors.Invalid),
        ({'objects': [{'oid': 5, 'size': 5}]}, errors.Invalid),
        ({'objects': [{'oid': OID, 'size': True}]}, errors.Invalid),
        ({'objects': [{'oid': OID, 'size': 5}] * 2}, errors.TooLarge),
    ],
)
def test_invalid_batches(changes: object, error: type[Exception]) -> None:
    assert isinstance(changes, dict)
    document = {'operation': 'upload', 'objects': [], **changes}
    with pytest.raises(error):
        batches.parse_batch(json.dumps(document).encode(), 1)


def test_invalid_lock_verifications_and_unlocks() -> None:
    for data in (b'{"cursor":5}', b'{"limit":"5"}', b'{"limit":true}'):
        with pytest.raises(errors.Invalid):
            lockrequests.parse_lock_verify(data)
    with pytest.raises(errors.Invalid):
        lockrequests.parse_unlock(b'{"force":1}')
