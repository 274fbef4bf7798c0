# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading values, writing bundles, lists of segments and redirects; no I/O."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.wireprotov2.client import offer, redirects
from hgext3rd.wireprotov2.proto import cbor, events
from hgext3rd.wireprotov2.proto.errors import CBORError, ProtocolError
from hgext3rd.wireprotov2.pull import bundle, records, wanted
from hgext3rd.wireprotov2.pull import listing as segment_list

A, B, C = (bytes([n]) * 20 for n in b'abc')
NULL = records.NULL_ID


def revision(node: bytes = A, text: bytes = b'text', **extra: Any) -> list[Any]:
    value: dict[bytes, Any] = {
        b'node': node,
        b'parents': [NULL, NULL],
        b'fieldsfollowing': [[b'revision', len(text)]],
    }
    value.update((key.encode(), item) for key, item in extra.items())
    return [{k: v for k, v in value.items() if v is not ...}, text]


def changesets(*values: Any) -> list[Any]:
    rest = iter(values)
    total = records.header(rest)
    return list(records.changesets(rest, total))


def revisions(*values: Any) -> list[Any]:
    rest = iter(values)
    total = records.header(rest)
    found = list(records.revisions(rest, total))
    records.end(rest)
    return found


class TestRecords:
    def test_full_text(self) -> None:
        [record] = revisions({b'totalitems': 1}, *revision(linknode=B))
        assert record == (
            A,
            NULL,
            NULL,
            B,
            NULL,
            struct.pack('>lll', 0, 0, 4) + b'text',
            0,
        )

    def test_delta(self) -> None:
        values = revision(
            fieldsfollowing=[[b'delta', 3]], deltabasenode=B, flags=8192
        )
        [record] = revisions({b'totalitems': 1}, values[0], b'abc')
        assert (record.base, record.delta, record.flags) == (B, b'abc', 8192)
        assert record.linknode is None

    def test_other_changesets_are_skipped(self) -> None:
        found = changesets(
            {b'totalitems': 1},
            *revision(phase=b'public'),
            {b'node': B, b'bookmarks': [b'x']},
        )
        assert [record.node for record in found] == [A]

    @pytest.mark.parametrize(
        'values',
        [
            [],
            [b'x'],
            [{b'totalitems': -1}],
            [{b'totalitems': True}],
            [{b'totalitems': 2}, *revision()],
            [{b'totalitems': 0}, *revision()],
            [{b'totalitems': 1}],
            [{b'totalitems': 1}, revision()[0]],
            [{b'totalitems': 1}, b'x'],
            [{b'totalitems': 1}, *revision(node=b'short')],
            [{b'totalitems': 1}, *revision(parents=[A])],
            [{b'totalitems': 1}, *revision(parents=[A, b'short'])],
            [{b'totalitems': 1}, *revision(parents=...)],
            [{b'totalitems': 1}, *revision(fieldsfollowing=[])],
            [{b'totalitems': 1}, *revision(fieldsfollowing=[b'revision'])],
            [{b'totalitems': 1}, *revision(fieldsfollowing=[[b'revision', 9]])],
        ],
    )
    @pytest.mark.parametrize('read', [changesets, revisions])
    def test_malformed(self, read: Callable[..., Any], values: Any) -> None:
        with pytest.raises(CBORError):
            read(*values)

    @pytest.mark.parametrize(
        'values',
        [
            revision(linknode=b'short'),
            revision(flags=-1),
            revision(flags=1 << 16),
            revision(fieldsfollowing=[[b'delta', 4]]),
            revision(fieldsfollowing=[[b'delta', 4]], deltabasenode=b'short'),
        ],
    )
    def test_malformed_revision(self, values: Any) -> None:
        with pytest.raises(CBORError):
            revisions({b'totalitems': 1}, *values)

    def test_files(self) -> None:
        values = iter(
            [
                {b'path': b'a', b'totalitems': 1},
                *revision(),
                {b'path': b'b', b'totalitems': 0},
            ]
        )
        found = [
            (path, [record.node for record in revisions])
            for path, revisions in records.files(values, 2)
        ]
        assert found == [(b'a', [A]), (b'b', [])]

    @pytest.mark.parametrize(
        'value',
        [{b'totalitems': 0}, {b'path': b'', b'totalitems': 0}, {b'path': b'a'}],
    )
    def test_malformed_file(self, value: Any) -> None:
        with pytest.raises(CBORError):
            list(records.files(iter([value]), 1))

    def test_repeated_file(self) -> None:
        value = {b'path': b'a', b'totalitems': 0}
        with pytest.raises(CBORError):
            list(records.files(iter([value, value]), 2))

    @given(st.data())
    def test_any_value_parses_or_raises_a_protocol_error(
        self, data: st.DataObject
    ) -> None:
        plain = st.one_of(
            st.binary(max_size=21), st.integers(), st.none(), st.booleans()
        )
        keys = st.sampled_from(
            [b'node', b'parents', b'fieldsfollowing', b'totalitems', b'path']
        )
        value = plain | st.dictionaries(
            keys, plain | st.lists(plain | st.lists(plain, max_size=2))
        )
        values = data.draw(st.lists(value, max_size=6))
        for read in (changesets, revisions):
            try:
                read(*values)
            except ProtocolError:
                pass


class TestSeen:
    def record(self, text: bytes) -> Any:
        return records.RevisionRecord(
            A, NULL, NULL, A, NULL, b'h' * 12 + text, 0
        )

    def test_manifest_and_paths(self) -> None:
        seen = wanted.Seen()
        text = B.hex().encode() + b'\nuser\n0 0\nf\ng h\n\nmessage\n\nmore'
        seen.add(self.record(text))
        assert seen.manifests == {B: A}
        assert seen.paths == {b'f', b'g h'}

    def test_empty(self) -> None:
        seen = wanted.Seen()
        seen.add(self.record(NULL.hex().encode() + b'\nuser\n0 0\n\nmessage'))
        assert not seen.manifests
        assert not seen.paths

    @pytest.mark.parametrize('text', [b'', b'abc\n', b'z' * 40, b'\xff' * 40])
    def test_malformed(self, text: bytes) -> None:
        with pytest.raises(CBORError):
            wanted.Seen().add(self.record(text))


class TestBundle:
    def test_part(self) -> None:
        blocks = b''.join(
            bundle.part(
                7, b'NAME', [b'', b'ab', b'c'], {b'k': b'v'}, {b'a': b''}
            )
        )
        header = b'\x04NAME\0\0\0\x07\x01\x01\x01\x01\x01\x00' + b'kv' + b'a'
        assert blocks == (
            struct.pack('>i', len(header))
            + header
            + b'\0\0\0\x03abc'
            + b'\0\0\0\0'
        )

    def test_large_payload_is_divided(self) -> None:
        chunks = [b'x' * 30000] * 5
        blocks = list(bundle.part(0, b'N', chunks))[1:]
        assert b''.join(blocks[1:-1:2]) == b''.join(chunks)
        assert max(map(len, blocks)) < 100000

    def test_revision(self) -> None:
        record = records.RevisionRecord(A, B, NULL, None, C, b'delta', 1 << 13)
        chunk = bundle.revision(record, A, b'03')
        assert chunk == (
            struct.pack('>l', 4 + 102 + 5)
            + A
            + B
            + NULL
            + C
            + A
            + b'\x20\0delta'
        )
        with pytest.raises(ValueError):
            bundle.revision(record, A, b'02')
        censored = record._replace(flags=1 << 15)
        assert len(bundle.revision(censored, A, b'02')) == 4 + 100 + 5

    def test_small_parts(self) -> None:
        assert bundle.listkeys({b'b': b'2', b'a': b'1'}) == b'a\t1\nb\t2'
        assert bundle.bookmarks({b'm': A}) == A + b'\0\x01m'


def listing(*segments: Any, **head: Any) -> list[Any]:
    values = {
        b'version': 1,
        b'totalitems': len(segments),
        b'cgversion': b'02',
        **{key.encode(): value for key, value in head.items()},
    }
    return [values, *segments]


SEGMENT = {
    b'name': A,
    b'changesets': 3,
    b'estimate': 10,
    b'heads': [B],
    b'final': True,
}


class TestListing:
    def test_listing(self) -> None:
        found = segment_list.parse(listing(SEGMENT))
        assert found == segment_list.SegmentList(
            (segment_list.ListedSegment(A, 3, 10, (B,), True),), b'02'
        )

    def test_unknown_version(self) -> None:
        assert segment_list.parse(listing(version=2)) is None

    @pytest.mark.parametrize(
        'values',
        [
            [],
            [b'x'],
            listing(totalitems=3),
            listing(cgversion=None),
            listing(b'x'),
            listing({**SEGMENT, b'heads': []}),
            listing({**SEGMENT, b'heads': [b'short']}),
            listing({**SEGMENT, b'name': 1}),
            listing({**SEGMENT, b'changesets': -1}),
        ],
    )
    def test_malformed(self, values: Any) -> None:
        with pytest.raises(CBORError):
            segment_list.parse(values)


TARGETS = (
    offer.OfferedTarget(b'cdn', b'https', (b'https://cdn.example/bucket/',)),
    offer.OfferedTarget(b'lan', b'http', (b'http://10.0.0.1:8080',)),
)


class TestRedirects:
    @pytest.mark.parametrize(
        ('url', 'allowed'),
        [
            (b'https://cdn.example/bucket/key?sig=1', True),
            (b'https://cdn.example:443/bucket/key', True),
            (b'http://10.0.0.1:8080/any', True),
            (b'https://cdn.example/bucket2/key', False),
            (b'https://cdn.example/bucket/../other', False),
            (b'https://cdn.example:444/bucket/key', False),
            (b'http://cdn.example/bucket/key', False),
            (b'https://user:pw@cdn.example/bucket/key', False),
            (b'https://cdn.example.evil/bucket/key', False),
            (b'http://10.0.0.1/any', False),
            (b'file:///etc/passwd', False),
        ],
    )
    def test_advertised_locations(self, url: bytes, allowed: bool) -> None:
        assert redirects.is_advertised(url, TARGETS) is allowed

    def test_acceptable(self) -> None:
        def accept(secure: bool = False, **kwargs: Any) -> bool:
            target = offer.OfferedTarget(
                **{
                    'name': b't',
                    'protocol': b'https',
                    'uris': (b'https://x',),
                    **kwargs,
                }
            )
            found = offer.OfferedAPI(b'a', b'u', {}, (), targets=(target,))
            return bool(redirects.acceptable(found, secure))

        assert accept()
        assert accept(snirequired=True)
        assert accept(tlsversions=(b'1.2', b'1.3'))
        assert not accept(tlsversions=(b'1.0',))
        assert not accept(protocol=b'ssh')
        assert accept(protocol=b'http')
        assert not accept(protocol=b'http', secure=True)

    def location(self, data: bytes, **kwargs: Any) -> events.Location:
        return events.Location(
            **{
                'url': b'http://10.0.0.1:8080/x',
                'mediatype': b'application/mercurial-cbor',
                'size': len(data),
                'fullhashes': ((b'sha256', hashlib.sha256(data).digest()),),
                **kwargs,
            }
        )

    def fetch(
        self, monkeypatch: pytest.MonkeyPatch, data: bytes, location: Any
    ) -> bytes:
        from mercurial import ui as uimod

        monkeypatch.setattr(
            redirects,
            '_read',
            lambda ui, url, where, start: iter([data[:3], data[3:]]),
        )
        return b''.join(redirects.fetch(uimod.ui.load(), location, TARGETS))

    def test_content(self, monkeypatch: pytest.MonkeyPatch) -> None:
        data = b'content'
        assert self.fetch(monkeypatch, data, self.location(data)) == data
        seeded = hashlib.sha1(b's' + data).digest()
        location = self.location(
            data, fullhashes=((b'sha1', seeded),), fullhashseed=b's', size=None
        )
        assert self.fetch(monkeypatch, data, location) == data

    @pytest.mark.parametrize(
        ('change', 'message'),
        [
            ({'size': 3}, 'larger'),
            ({'size': 30}, 'smaller'),
            ({'fullhashes': ((b'sha256', b'x'),)}, 'wrong hash'),
            (
                {'fullhashes': ((b'md5', b'x'),)},
                'without a hash that can be verified',
            ),
            ({'fullhashes': None}, 'without a hash that can be verified'),
            ({'url': b'http://evil/'}, 'did not announce'),
        ],
    )
    def test_refused(
        self,
        monkeypatch: pytest.MonkeyPatch,
        change: dict[str, Any],
        message: str,
    ) -> None:
        data = b'content'
        with pytest.raises(redirects.RedirectFailure, match=message):
            self.fetch(monkeypatch, data, self.location(data, **change))


class TestAPI:
    DESCRIPTOR = {
        b'commands': {
            b'filesdata': {
                b'args': {b'fields': {b'validvalues': {b'flags'}}},
                b'recommendedbatchsize': 50000,
            },
        },
        b'framingmediatypes': [b'f'],
        b'rawrepoformats': [b'revlogv1'],
        b'redirect': {
            b'targets': [
                {b'name': b't', b'protocol': b'http', b'uris': [b'u']},
                {b'name': b'no protocol'},
                b'nonsense',
            ],
            b'hashes': [b'sha256'],
        },
    }

    def test_parse(self) -> None:
        found = offer.parse(b'n', b'u', self.DESCRIPTOR)
        assert found.batch_size(b'filesdata') == 50000
        assert found.batch_size(b'heads') is None
        assert found.has_argument(b'filesdata', b'fields')
        assert not found.has_argument(b'filesdata', b'nodes')
        assert found.valid_values(b'filesdata', b'fields') == {b'flags'}
        assert found.valid_values(b'filesdata', b'nodes') == frozenset()
        assert [target.name for target in found.targets] == [b't']

    def test_malformed_details_are_left_out(self) -> None:
        args = {b'fields': {b'validvalues': [b'flags', [b'x'], {b'y': 1}, 5]}}
        commands = {b'commands': {b'filesdata': {b'args': args}}}
        found = offer.parse(b'n', b'u', commands)
        assert found.valid_values(b'filesdata', b'fields') == {b'flags'}

    @pytest.mark.parametrize('value', [None, {}, {b'commands': []}])
    def test_malformed(self, value: Any) -> None:
        with pytest.raises(CBORError):
            offer.parse(b'n', b'u', value)

    @given(st.binary(max_size=200))
    def test_any_cbor_parses_or_fails_cleanly(self, noise: bytes) -> None:
        try:
            for value in cbor.decode_all(noise):
                offer.parse(b'n', b'u', value)
        except ProtocolError:
            pass
