# SPDX-License-Identifier: GPL-2.0-or-later
"""The client's end of an exchange: requests, responses, and what it refuses."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.wireprotov2.proto import (
    cbor,
    client,
    events,
    frames,
    responses,
    streams,
)
from hgext3rd.wireprotov2.proto.errors import (
    CBORError,
    FrameError,
    LimitError,
    ProtocolError,
    StreamError,
)

OK = cbor.encode({b'status': b'ok'})
BEGIN, END, ENCODED = (
    frames.STREAM_BEGIN,
    frames.STREAM_END,
    frames.STREAM_ENCODED,
)
MORE, EOS = frames.CONTINUATION, frames.EOS


def response(
    payload: bytes,
    flags: int = EOS,
    request: int = 1,
    stream: int = 2,
    streamflags: int = BEGIN,
) -> bytes:
    return frames.build(
        request, stream, streamflags, frames.COMMAND_RESPONSE, flags, payload
    )


def settings(
    *values: object,
    flags: int = EOS,
    stream: int = 2,
    streamflags: int = BEGIN,
) -> bytes:
    payload = b''.join(cbor.encode(value) for value in values)
    return frames.build(1, stream, streamflags, 9, flags, payload)


def other(kind: int, value: object, request: int = 1) -> bytes:
    return frames.build(request, 2, BEGIN, kind, 0, cbor.encode(value))


def receive(conn: client.ClientConnection, data: bytes) -> list[Any]:
    return list(conn.feed(data))


def started(count: int = 1, **kwargs: Any) -> client.ClientConnection:
    conn = client.ClientConnection(**kwargs)
    for _index in range(count):
        conn.command(b'heads', {})
    conn.data_to_send()
    return conn


class TestSending:
    def test_bytes_of_framing_0005(self) -> None:
        # As in recorded exchanges, except for the number of the stream.
        conn = client.ClientConnection(frames.FRAMING_0005)
        assert conn.command(b'capabilities', {}) == 1
        assert conn.data_to_send() == (
            b'\x19\x00\x00\x01\x00\x01\x01\x11\xa2Dargs\xa0DnameLcapabilities'
        )
        assert conn.data_to_send() == b''

    def test_settings_come_first_and_once(self) -> None:
        conn = client.ClientConnection(accept=[b'zlib'])
        conn.command(b'heads', {})
        assert conn.command(b'known', {b'nodes': []}) == 3
        parsed = frames.FrameParser().feed(conn.data_to_send())
        assert [(f.typeid, f.requestid, f.streamflags) for f in parsed] == [
            (8, 1, BEGIN),
            (1, 1, 0),
            (1, 3, 0),
        ]
        assert cbor.decode_all(parsed[0].payload) == [
            {b'contentencodings': [b'zlib']}
        ]

    def test_large_arguments_span_frames(self) -> None:
        conn = client.ClientConnection(frames.FRAMING_0005)
        args = {b'nodes': [b'%020d' % n for n in range(4000)]}
        conn.command(b'known', args)
        parsed = frames.FrameParser().feed(conn.data_to_send())
        assert [f.flags for f in parsed] == [
            frames.REQUEST_NEW | frames.REQUEST_MORE,
            frames.REQUEST_CONTINUATION | frames.REQUEST_MORE,
            frames.REQUEST_CONTINUATION,
        ]
        [message] = cbor.decode_all(b''.join(f.payload for f in parsed))
        assert message == {b'name': b'known', b'args': args}

    @pytest.mark.parametrize('fullhashes', [False, True])
    def test_redirect(self, fullhashes: bool) -> None:
        conn = client.ClientConnection(frames.FRAMING_0005)
        wanted = events.AcceptedRedirects((b'a',), (b'sha1',), fullhashes)
        conn.command(b'heads', {}, redirect=wanted)
        [frame] = frames.FrameParser().feed(conn.data_to_send())
        message: Any
        [message] = cbor.decode_all(frame.payload)
        assert isinstance(message, dict)
        # Mercurial up to 6.0 does not know the third key.
        assert message[b'redirect'] == {
            b'targets': [b'a'],
            b'hashes': [b'sha1'],
            **({b'fullhashes': True} if fullhashes else {}),
        }

    def test_ids_run_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(client, 'MAX_REQUESTS', 2)
        conn = started(2)
        with pytest.raises(LimitError):
            conn.command(b'heads', {})

    def test_unencodable_arguments_queue_nothing(self) -> None:
        conn = client.ClientConnection()
        with pytest.raises(CBORError):
            conn.command(b'heads', {b'a': 1.5})
        assert conn.data_to_send() == b''
        assert not conn.waiting


class TestResponses:
    def test_values(self) -> None:
        conn = started()
        assert conn.waiting
        assert receive(conn, response(OK + cbor.encode([b'x']))) == [
            events.ResponseStarted(1),
            events.ResponseValues(1, [[b'x']]),
            events.ResponseFinished(1),
        ]
        assert not conn.waiting
        conn.finish()

    def test_two_responses_interleaved(self) -> None:
        conn = started(2)
        data = (
            response(OK + cbor.encode(1), MORE)
            + response(OK, MORE, request=3, streamflags=0)
            + response(b'', request=1, streamflags=0)
            + response(cbor.encode(2), request=3, streamflags=END)
        )
        assert receive(conn, data) == [
            events.ResponseStarted(1),
            events.ResponseValues(1, [1]),
            events.ResponseStarted(3),
            events.ResponseFinished(1),
            events.ResponseValues(3, [2]),
            events.ResponseFinished(3),
        ]

    def test_chunked_bytestring(self) -> None:
        conn = client.ClientConnection()
        conn.command(b'rawstorefiledata', {}, chunked=True)
        body = b''.join(cbor.encode_indefinite_bytes([b'ab', b'cd']))
        [_started, found, *_rest] = receive(conn, response(OK + body))
        assert isinstance(found, events.ResponseValues)
        assert found.values == [
            cbor.BytesChunk(b'ab', True, False),
            cbor.BytesChunk(b'cd', False, True),
        ]

    @given(st.data())
    def test_events_do_not_depend_on_chunking(
        self, data: st.DataObject
    ) -> None:
        values = data.draw(
            st.lists(st.binary(max_size=100) | st.integers(0, 99), max_size=9)
        )
        body = b''.join(map(cbor.encode, values))
        size = data.draw(st.integers(1, 200))
        parts = [body[i : i + size] for i in range(0, len(body), size)]
        wire = response(OK, MORE)
        for part in parts:
            wire += response(part, MORE, streamflags=0)
        wire += response(b'', streamflags=END)
        cuts = sorted(
            data.draw(st.lists(st.integers(0, len(wire)), max_size=20))
        )
        conn = started()
        out = []
        for start, stop in zip([0, *cuts], [*cuts, len(wire)], strict=True):
            out += receive(conn, wire[start:stop])
        conn.finish()
        assert out[0] == events.ResponseStarted(1)
        assert out[-1] == events.ResponseFinished(1)
        found: list[Any] = []
        for event in out[1:-1]:
            assert isinstance(event, events.ResponseValues)
            found += event.values
        assert found == values

    @given(st.binary(max_size=300))
    def test_noise_raises_nothing_but_protocol_errors(
        self, noise: bytes
    ) -> None:
        conn = started()
        try:
            receive(conn, noise)
            conn.finish()
        except ProtocolError:
            pass

    @given(st.data())
    def test_corruption_raises_nothing_but_protocol_errors(
        self, data: st.DataObject
    ) -> None:
        wire = bytearray(
            settings(b'zlib')
            + response(zlib.compress(OK + cbor.encode([b'x'] * 9)), 2, 1, 2, 4)
        )
        index = data.draw(st.integers(0, len(wire) - 1))
        wire[index] = data.draw(st.integers(0, 255))
        conn = started()
        try:
            receive(conn, bytes(wire))
            conn.finish()
        except ProtocolError:
            pass

    @pytest.mark.parametrize(
        ('wire', 'error'),
        [
            (response(b''), FrameError),
            (response(cbor.encode(b'ok')), CBORError),
            (response(cbor.encode({b'status': b'fine'})), FrameError),
            (response(cbor.encode({b'status': 1})), CBORError),
            (response(OK + b'\x42a'), CBORError),
            (response(OK, request=5), FrameError),
            (response(OK, streamflags=0), StreamError),
            (response(OK, stream=3), StreamError),
            (response(OK, stream=0), StreamError),
            (response(OK, MORE) + response(b''), StreamError),
            (response(OK, streamflags=BEGIN | ENCODED), StreamError),
            (response(OK) + response(b'', streamflags=0), FrameError),
            (other(4, {}), FrameError),
            (other(8, {}), FrameError),
        ],
    )
    def test_malformed(self, wire: bytes, error: type[ProtocolError]) -> None:
        with pytest.raises(error):
            receive(started(), wire)

    def test_end_inside_a_frame(self) -> None:
        conn = started()
        receive(conn, response(OK)[:-1])
        with pytest.raises(FrameError, match='inside a frame'):
            conn.finish()

    def test_end_before_the_answer(self) -> None:
        conn = started()
        receive(conn, response(OK, MORE))
        with pytest.raises(FrameError, match='before the command'):
            conn.finish()

    def test_value_larger_than_the_limit(self) -> None:
        conn = started(limits=cbor.Limits(size=100))
        receive(conn, response(OK, MORE))
        with pytest.raises(LimitError):
            receive(
                conn, response(b'\x5a\x00\x01\x00\x00', MORE, streamflags=0)
            )

    def test_too_many_streams(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(client, 'MAX_STREAMS', 2)
        conn = started()
        receive(conn, response(OK, MORE))
        receive(conn, response(b'', MORE, stream=4, streamflags=BEGIN | END))
        receive(conn, response(b'', MORE, stream=4))
        with pytest.raises(LimitError):
            receive(conn, response(b'', MORE, stream=6))

    def test_limits_of_one_command(self) -> None:
        conn = client.ClientConnection()
        conn.command(b'heads', {}, limits=cbor.Limits(size=100))
        with pytest.raises(LimitError):
            receive(conn, response(OK + b'\x5a\x00\x01\x00\x00', MORE))

    @pytest.mark.parametrize(
        'frame',
        [
            response(b'', MORE, streamflags=0),
            frames.build(1, 2, 0, 6, 0, cbor.encode([{b'msg': b'x' * 900}])),
        ],
    )
    def test_endless_frames_without_content(
        self, monkeypatch: pytest.MonkeyPatch, frame: bytes
    ) -> None:
        monkeypatch.setattr(client, 'MAX_OVERHEAD', 1000)
        conn = started()
        receive(conn, response(OK, MORE) + frame)
        with pytest.raises(LimitError) as caught:
            receive(conn, frame * 1000)
        assert caught.value.limit == 'overhead'
        # Any number of wire frames may carry parts of a response.
        conn = started()
        receive(conn, response(OK, MORE))
        for _index in range(1000):
            receive(conn, response(b'\x01', MORE, streamflags=0))


class TestEncodings:
    @pytest.mark.parametrize(
        ('name', 'compressor'),
        [
            (b'zlib', zlib.compressobj()),
            (b'zstd-8mb', zstandard.ZstdCompressor().compressobj()),
        ],
    )
    def test_data_that_expands_a_lot_comes_in_parts(
        self, name: bytes, compressor: Any
    ) -> None:
        # These are 64 million values. Honest data can expand as much.
        parts = [compressor.compress(OK)]
        parts += [compressor.compress(bytes(2**20)) for _mb in range(64)]
        data = b''.join(parts) + compressor.flush()
        conn = started()
        wire = settings(name)
        for start in range(0, len(data), frames.MAX_PAYLOAD):
            part = data[start : start + frames.MAX_PAYLOAD]
            wire += response(part, MORE, streamflags=ENCODED)
        count = 0
        for event in conn.feed(wire):
            if isinstance(event, events.ResponseValues):
                assert len(event.values) <= streams.STEP
                count += len(event.values)
            if count > 4 * streams.STEP:
                # A caller that expected fewer values stops here.
                return
        raise AssertionError('values are missing')

    @pytest.mark.parametrize(
        ('name', 'encode'),
        [
            (b'identity', bytes),
            (b'zlib', zlib.compress),
            (b'zstd-8mb', zstandard.ZstdCompressor().compress),
        ],
    )
    def test_encoded_and_plain_frames_mix(
        self, name: bytes, encode: Callable[[bytes], bytes]
    ) -> None:
        conn = started()
        wire = (
            settings(name)
            + response(OK, MORE, streamflags=0)
            + response(
                encode(cbor.encode(b'x' * 50)), streamflags=ENCODED | END
            )
        )
        out = []
        for index in range(len(wire)):
            out += receive(conn, wire[index : index + 1])
        assert out == [
            events.ResponseStarted(1),
            events.ResponseValues(1, [b'x' * 50]),
            events.ResponseFinished(1),
        ]

    def test_settings_in_two_frames(self) -> None:
        conn = started()
        raw = cbor.encode(b'zlib')
        wire = (
            frames.build(1, 2, BEGIN, 9, MORE, raw[:2])
            + frames.build(1, 2, 0, 9, EOS, raw[2:])
            + response(zlib.compress(OK), streamflags=ENCODED)
        )
        assert len(receive(conn, wire)) == 2

    @pytest.mark.parametrize(
        ('wire', 'error'),
        [
            (settings(b'brotli'), StreamError),
            (settings(b'zstd-8mb', 1), StreamError),
            (settings(), StreamError),
            (settings(b'zlib') + settings(b'zlib', streamflags=0), StreamError),
            (
                settings(b'zlib', flags=MORE) + response(OK, streamflags=0),
                StreamError,
            ),
            (settings(b'x' * 32000, flags=MORE) * 3, StreamError),
            (
                settings(b'zlib') + response(b'no zlib', streamflags=ENCODED),
                StreamError,
            ),
        ],
    )
    def test_malformed(self, wire: bytes, error: type[ProtocolError]) -> None:
        with pytest.raises(error):
            receive(started(), wire)

    def test_settings_without_end(self) -> None:
        conn = started()
        receive(conn, settings(b'x' * 32000, flags=MORE))
        receive(conn, settings(b'x' * 32000, flags=MORE, streamflags=0))
        with pytest.raises(LimitError):
            receive(conn, settings(b'x' * 32000, flags=MORE, streamflags=0))

    def test_not_accepted(self) -> None:
        with pytest.raises(StreamError, match='not asked for'):
            receive(started(accept=[b'zlib']), settings(b'zstd-8mb'))


class TestFailures:
    def test_command_error_of_peers(self) -> None:
        value = {
            b'status': b'error',
            b'error': {b'message': b'unknown node: %s', b'args': [b'a\x1b']},
        }
        conn = started()
        [event] = receive(conn, response(cbor.encode(value)))
        assert event == events.CommandFailed(
            1, b'command', (events.Atom(b'unknown node: %s', (b'a\x1b',)),)
        )
        assert responses.format_atoms(event.atoms) == b'unknown node: a\\x1b'
        conn.finish()

    def test_command_error_as_specified(self) -> None:
        value = {
            b'status': b'error',
            b'error': {b'message': [{b'msg': b'no', b'labels': [b'l']}]},
        }
        [event] = receive(started(), response(cbor.encode(value)))
        assert isinstance(event, events.CommandFailed)
        assert event.atoms == (events.Atom(b'no', (), (b'l',)),)

    def test_error_frame_in_the_middle(self) -> None:
        conn = started(2)
        receive(conn, response(OK, MORE))
        wire = frames.build(
            1,
            2,
            0,
            5,
            0,
            cbor.encode({b'type': b'server', b'message': [{b'msg': b'oops'}]}),
        )
        [event] = receive(conn, wire)
        assert event == events.CommandFailed(
            1, b'server', (events.Atom(b'oops'),)
        )
        assert conn.waiting

    def test_redirect(self) -> None:
        location = {
            b'url': b'https://h/x',
            b'mediatype': b'application/mercurial-cbor',
            b'size': 5,
            b'fullhashes': [[b'sha256', b'd']],
            b'fullhashseed': b's',
            b'serverdercerts': [b'c'],
        }
        value = {b'status': b'redirect', b'location': location}
        out = receive(started(), response(cbor.encode(value)))
        assert out == [
            events.ResponseRedirected(
                1,
                events.Location(
                    url=b'https://h/x',
                    mediatype=b'application/mercurial-cbor',
                    size=5,
                    fullhashes=((b'sha256', b'd'),),
                    fullhashseed=b's',
                    serverdercerts=(b'c',),
                ),
            ),
            events.ResponseFinished(1),
        ]

    @pytest.mark.parametrize(
        'location',
        [
            None,
            {b'url': b'x'},
            {b'url': b'x', b'mediatype': b'm', b'size': True},
            {b'url': b'x', b'mediatype': b'm', b'fullhashes': [b'sha1']},
            {b'url': b'x', b'mediatype': b'm', b'fullhashes': [[b'a', 1]]},
            {b'url': b'x', b'mediatype': b'm', b'serverdercerts': [1]},
        ],
    )
    def test_malformed_redirect(self, location: Any) -> None:
        value = {b'status': b'redirect', b'location': location}
        with pytest.raises(CBORError):
            receive(started(), response(cbor.encode(value)))

    def test_body_after_redirect(self) -> None:
        location = {b'url': b'x', b'mediatype': b'm'}
        value = {b'status': b'redirect', b'location': location}
        with pytest.raises(FrameError):
            receive(started(), response(cbor.encode(value) + b'\x01'))

    @pytest.mark.parametrize(
        'wire',
        [
            response(cbor.encode({b'status': b'error'})),
            response(cbor.encode({b'status': b'error', b'error': {}})),
            other(5, {b'message': []}),
            frames.build(1, 2, BEGIN, 5, 0, b''),
            frames.build(1, 2, BEGIN, 6, 0, b'\x80\x80'),
        ],
    )
    def test_malformed(self, wire: bytes) -> None:
        with pytest.raises(CBORError):
            receive(started(), wire)


class TestSideChannels:
    def test_text(self) -> None:
        [event] = receive(
            started(), other(6, [{b'msg': b'%s%%\n', b'args': [b'100']}])
        )
        assert isinstance(event, events.TextReceived)
        assert responses.format_atoms(event.atoms) == b'100%\n'

    def test_encoded_text(self) -> None:
        value = zlib.compress(cbor.encode([{b'msg': b'x'}]))
        wire = settings(b'zlib') + frames.build(1, 2, ENCODED, 6, 0, value)
        [event] = receive(started(), wire)
        assert isinstance(event, events.TextReceived)
        assert event.atoms == (events.Atom(b'x'),)

    def test_progress(self) -> None:
        value = {b'topic': b't', b'pos': -1, b'total': 9, b'item': b'i'}
        assert receive(started(), other(7, value)) == [
            events.ProgressReceived(1, b't', -1, 9, None, b'i')
        ]


@pytest.mark.parametrize(
    ('message', 'args', 'text'),
    [
        (b'plain', [b'unused'], b'plain'),
        (b'%s and %s', [b'a'], b'a and %s'),
        (b'%d %', [b'a'], b'%d %'),
        (b'%%s', [b'a'], b'%s'),
        (b'%%%s', [b'a'], b'%a'),
        (b'%%', [], b'%'),
        (b'\xff\x00', [], b'\\xff\\x00'),
    ],
)
def test_format(message: bytes, args: list[bytes], text: bytes) -> None:
    assert responses.format_atoms([events.Atom(message, tuple(args))]) == text
