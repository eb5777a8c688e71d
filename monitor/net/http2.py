"""One HTTP/2 exchange, bounded: frames are counted here, and understood by the library h2.

    head      status and headers, at most 64 KiB, compressed or not; a few 1xx answers before it are passed over
    body      what DATA frames carry, to the end of the stream
    frames    of what carries nothing of the answer (PING, SETTINGS, empty DATA, …) a thousand, ten thousand of all

`Http2Reader` is to `exchange` what `AnswerReader` is for HTTP/1.1. What HTTP/2 owes the server, acknowledgements and
room for more, leaves before the next read: see `Http2Side`.

A server that goes away (GOAWAY) may end what it has begun, which h2 does not allow; so it never sees those frames.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import attrs
import trio
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import DenialOfServiceError, FlowControlError, H2Error, StreamClosedError
from h2.settings import SettingCodes, Settings

from monitor.core.errors import describe
from monitor.core.model import Code
from monitor.net.exchange import WholeAnswer, take_more
from monitor.net.http import HEAD_LIMIT, MOST_INFORMATIONAL, TOO_LARGE_HEAD, Head, over_limit
from monitor.net.reasons import probe_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from h2.events import Event

    from monitor.core.errors import ProbeError
    from monitor.net import Stream, Trace
    from monitor.net.http import Headers

_MOUTHFUL = 4096  # bytes at once: four hundred empty frames, which take h2 15 ms
_FRAME_HEAD = 9  # bytes (RFC 9113, 4.1)
_LARGEST_FRAME = 16_384  # bytes after them, unless we allowed more
_DATA, _HEADERS, _GOAWAY, _CONTINUATION = 0, 1, 7, 9
_MOST_IDLE = 1_000  # frames that carry nothing of the body
_MOST_FRAMES = 10_000  # of all, and one more for each KiB of the body that is allowed
# Of HTTP/1.1 alone, or said by pseudo-headers (RFC 9113, 8.2.2).
_NOT_SENT = frozenset({b"host", b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})


class Session:
    """What one connection knows, from one exchange on it to the next."""

    def __init__(self) -> None:
        """Begin: the preface is owed at once."""
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        wanted = {SettingCodes.ENABLE_PUSH: 0, SettingCodes.MAX_HEADER_LIST_SIZE: HEAD_LIMIT}
        self.h2.local_settings = Settings(client=True, initial_values=wanted)
        self.h2.initiate_connection()
        self.is_leaving = False  # has the server said that it takes no more?
        self._rest = b""

    def frames(self, data: bytes) -> Iterator[bytes]:
        """Whole frames, as they become whole by *data*; one that is too large as far as it has come."""
        data = self._rest + data
        while len(data) >= _FRAME_HEAD:
            end = _FRAME_HEAD + int.from_bytes(data[:3], "big")
            if len(data) < end <= _FRAME_HEAD + _LARGEST_FRAME:
                break
            yield data[:end]
            data = data[end:]
        self._rest = data

    def owed(self) -> bytes:
        """What is to be sent, once."""
        return self.h2.data_to_send()


class Http2Reader:
    """Sends one request by *session*, and takes bytes as they come: see `AnswerReader`."""

    def __init__(self, session: Session, headers: Headers, body: bytes, *, body_limit: int) -> None:
        """Ask; *headers* begin with the pseudo-headers. Raises ProbeError (`policy`) for what cannot be sent."""
        self.head: Head | None = None
        self.complete = False
        self.trailers: Headers = []
        self.session = session
        self._stream = session.h2.get_next_available_stream_id()
        self._to_send = body
        self._body_limit = body_limit
        self._body: list[bytes] = []
        self._body_size = 0
        self._block = 0  # bytes of the headers, compressed
        self._informational = 0
        self._idle = 0
        self._frames = 0
        self._failure: ProbeError | None = None
        try:
            session.h2.send_headers(self._stream, headers, end_stream=not body)
            self._send()
        except (H2Error, ValueError) as exc:
            raise probe_error(Code.POLICY, f"cannot send the request: {describe(exc)}", None) from exc

    def feed(self, data: bytes) -> None:
        """Take *data*. Raises ProbeError for a bad head; for a bad body `take` does, after what came before it."""
        for frame in self.session.frames(data):
            if self.complete or self._failure is not None:
                break
            try:
                self._take_frame(frame)
            except DenialOfServiceError:
                self._fail(*TOO_LARGE_HEAD)
            except H2Error as exc:
                self._fail(Code.PROTOCOL, f"not a valid HTTP/2 answer: {describe(exc)}")
        if self.head is None and self._failure is not None:
            raise self._failure

    def end(self, *, ragged: bool) -> None:  # noqa: ARG002 - a stream has an end of its own
        """The server closed the connection. Raises ProbeError where that was too early."""
        if self.complete:
            return
        if self.head is None:
            text = "the server closed the connection without an answer"
            raise probe_error(Code.PROTOCOL, text, "processing")
        raise probe_error(Code.PROTOCOL, f"the body ended after {self._body_size} bytes", "transfer")

    def take(self) -> list[bytes]:
        """The pieces of the body that have come since the last call. Raises ProbeError once it has gone wrong."""
        if self._failure is not None:
            raise self._failure
        pieces, self._body = self._body, []
        return pieces

    @property
    def can_go_on(self) -> bool:
        """See `AnswerReader`."""
        return self.complete and self._failure is None and not self.session.is_leaving

    def let_go(self) -> None:
        """Nothing refers back to us."""

    def _take_frame(self, frame: bytes) -> None:
        kind, size = frame[3], int.from_bytes(frame[:3], "big")
        if size > _LARGEST_FRAME:
            what = "it is HTTP/1" if frame.startswith(b"HTTP/1.") else f"a frame of {size:,} bytes"
            self._fail(Code.PROTOCOL, f"not a valid HTTP/2 answer: {what}")
            return
        self._frames += 1
        self._idle += kind != _DATA or size == 0
        if self._idle > _MOST_IDLE or self._frames > _MOST_FRAMES + self._body_limit // 1024:
            self._fail(Code.LIMIT, f"too many frames for so little of an answer: {self._frames:,}")
            return
        if kind in (_HEADERS, _CONTINUATION):
            self._block += size
            if self._block > HEAD_LIMIT:
                self._fail(*TOO_LARGE_HEAD)
                return
        if kind == _GOAWAY and size >= 8:
            self._go_away(frame)
            return
        for event in self.session.h2.receive_data(frame):
            self._note(event)
        self._send()

    def _go_away(self, frame: bytes) -> None:
        last, error = (int.from_bytes(frame[start : start + 4], "big") for start in (9, 13))
        self.session.is_leaving = True
        if error or last & 0x7FFFFFFF < self._stream:
            self._fail(Code.PROTOCOL, f"the server does not go on with the connection ({_error(error)})")

    def _note(self, event: Event) -> None:
        match event:
            case ResponseReceived():
                status, *_ = (value for name, value in event.headers if name == b":status")
                self.head = Head(int(status), "2", [each for each in event.headers if each[0][:1] != b":"])
            case InformationalResponseReceived():
                self._informational += 1
                self._block = 0
                if self._informational > MOST_INFORMATIONAL:
                    text = f"more than {MOST_INFORMATIONAL} informational answers before the real one"
                    self._fail(Code.LIMIT, text)
            case DataReceived() if event.stream_id == self._stream:
                self._body_size += len(event.data)
                if self._body_size > self._body_limit:
                    self._failure = self._failure or over_limit(self._body_limit)
                    return
                self._body.append(event.data)
                self.session.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case TrailersReceived() if event.stream_id == self._stream:
                self.trailers = list(event.headers)
            case StreamEnded() if event.stream_id == self._stream:
                self.complete = True
            case StreamReset() if event.stream_id == self._stream and not self.complete:
                self._fail(Code.PROTOCOL, f"the server broke off the stream ({_error(int(event.error_code))})")

    def _send(self) -> None:
        """As much of the request's body as the server has room for."""
        h2 = self.session.h2
        try:
            while self._to_send and (room := h2.local_flow_control_window(self._stream)) > 0:
                size = min(room, h2.max_outbound_frame_size)
                piece, self._to_send = self._to_send[:size], self._to_send[size:]
                h2.send_data(self._stream, piece, end_stream=not self._to_send)
        except (StreamClosedError, FlowControlError):
            self._to_send = b""  # the server has heard enough: its answer counts

    def _fail(self, code: Code, message: str, phase: str | None = None) -> None:
        """Keep the first failure; what follows from it is not worth a word."""
        if self._failure is None:
            self._failure = probe_error(code, message, phase or ("processing" if self.head is None else "transfer"))


class Http2Side:
    """The connection of a reader: what is owed leaves before anything is read."""

    def __init__(self, stream: Stream, reader: Http2Reader) -> None:
        """Read from *stream* for *reader*."""
        self._stream = stream
        self._session = reader.session

    @property
    def ragged(self) -> bool:
        """See `monitor.net.Stream`."""
        return self._stream.ragged

    async def receive_some(self) -> bytes:
        """Receive what is there; `b""` at the end of the stream."""
        if owed := self._session.owed():
            with contextlib.suppress(trio.BrokenResourceError):  # what it said before it hung up is worth more
                await self._stream.send_all(owed)
        return await self._stream.receive_some(_MOUTHFUL)

    def close(self) -> None:
        """Close; never blocks."""
        self._stream.close()


async def exchange(  # as that of HTTP/1.1
    prepared: Prepared, session: Session, stream: Stream, trace: Trace, *, body_limit: int
) -> WholeAnswer:
    """Send the request on *stream*, which *session* is about, and read the head: see `monitor.net.exchange`."""
    trace.phase("processing")
    reader = Http2Reader(session, prepared.headers, prepared.body, body_limit=body_limit)
    side = Http2Side(stream, reader)
    while reader.head is None:
        await take_more(side, reader)
    trace.phase("transfer")
    return WholeAnswer(reader.head, reader, side, body_limit)


@attrs.frozen(kw_only=True)
class Prepared:
    """A request, ready to go; its headers begin with the pseudo-headers."""

    headers: Headers
    body: bytes


def prepare(
    method: str, authority: bytes, path: bytes, headers: Headers, body: bytes, *, scheme: str = "https"
) -> Prepared:
    """Make a request ready; headers that only HTTP/1.1 has are left out."""
    own = [(name.lower(), value) for name, value in headers]
    host = next((value for name, value in own if name == b"host"), authority)
    pseudo = [
        (b":method", method.encode("ascii")),
        (b":scheme", scheme.encode("ascii")),
        (b":authority", host),
        (b":path", path),
    ]
    return Prepared(headers=[*pseudo, *(each for each in own if each[0] not in _NOT_SENT)], body=body)


def _error(number: int) -> str:
    try:
        return ErrorCodes(number).name
    except ValueError:
        return f"error {number}"
