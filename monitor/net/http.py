"""One HTTP/1.1 exchange, bounded: a request as bytes out, an answer in through llhttp.

    head      status line and headers, at most 64 KiB; a few 1xx answers before it are passed over
    body      as framed: by Content-Length, by chunks, or by the end of the connection
    decoded   gzip and deflate undone in steps; anything else that is encoded is refused

What does not come whole is never taken for an answer: a body that ends early is a `protocol` failure, more than
the limits allow a `limit` one.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import attrs
import httptools

from monitor.core.model import Code
from monitor.core.quantities import ByteSize
from monitor.net.reasons import probe_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.core.errors import ProbeError

HEAD_LIMIT = 64 * 1024
MOST_INFORMATIONAL = 8
_SWITCHED = "the server switched protocols unasked"
TOO_LARGE_HEAD = (Code.LIMIT, f"headers are larger than {ByteSize(HEAD_LIMIT)}", "processing")
_STEP = 64 * 1024  # bytes a decoder may give at once
_MOST_MEMBERS = 100  # of one gzip stream
_MOST_FRAMING = 8  # bytes on the wire for each of the body that is allowed: one-byte chunks take six
_VERSIONS = frozenset({"1.0", "1.1"})

Headers = list[tuple[bytes, bytes]]
_Failure = tuple[Code, str, str]  # what a ProbeError is made of: code, message, phase


@attrs.frozen
class Head:
    """What an answer begins with; header names as the server wrote them."""

    status: int
    version: str  # "1.1"
    headers: Headers

    def all(self, name: bytes) -> list[bytes]:
        """Every value of the header *name* (lower case)."""
        return [value for key, value in self.headers if key.lower() == name]

    @property
    def close_delimited(self) -> bool:
        """Does only the end of the connection end the body?"""
        return not self.all(b"content-length") and not self.all(b"transfer-encoding")


def render_request(method: str, target: bytes, headers: Headers, body: bytes, *, close: bool = True) -> bytes:
    """Render a request that asks for the connection to be closed after it, or to be kept.

    Raises ValueError for what would let a value break out of its line.
    """
    parts = [method.encode("ascii"), b" ", target, b" HTTP/1.1\r\n"]
    for name, value in headers:
        if b"\r" in value or b"\n" in value or b"\0" in value or not name or b":" in name or b"\n" in name:
            raise ValueError(f"header {name!r} holds a line break, a NUL or an empty name")
        if name.lower() != b"connection":
            parts += (name, b": ", value, b"\r\n")
    parts += (b"Connection: close\r\n\r\n" if close else b"Connection: keep-alive\r\n\r\n", body)
    return b"".join(parts)


class AnswerReader:
    """Takes bytes as they come; gives the head when it is whole, then the body in pieces."""

    def __init__(self, *, body_limit: int, without_body: bool = False) -> None:
        """Expect one answer; *without_body*: to a HEAD request."""
        self.head: Head | None = None
        self.complete = False
        self.trailers: Headers = []  # of HTTP/1.1 they are not looked at
        self._without_body = without_body
        self._body_limit = body_limit
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._headers: Headers = []
        self._head_size = 0
        self._body: list[bytes] = []
        self._body_size = 0
        self._informational = 0
        self._opening = b""
        self._wire = 0  # bytes after the head
        self._since_body = 0  # and those of them since the body's latest
        self._failure: _Failure | None = None  # no exception: it would refer to who raises it, and we to it

    def feed(self, data: bytes) -> None:
        """Take *data*. Raises ProbeError for a bad head; for a bad body `take` does, after what came before it."""
        # Counted here, because llhttp keeps an unfinished header or trailer to itself, however long it grows.
        if self.head is None:
            self._head_size += len(data)
            if len(self._opening) < 5:
                self._opening = (self._opening + data[:80]).lstrip(b"\r\n")
        else:
            self._wire += len(data)
            self._since_body += len(data)
        assert self._parser is not None  # noqa: S101 - who let go feeds no more
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(Code.PROTOCOL, _SWITCHED, "processing")
            self.head = None
        except httptools.HttpParserError as exc:
            if self.complete:
                self._too_much()
            else:
                phase = "processing" if self.head is None else "transfer"
                self._fail(Code.PROTOCOL, f"not a valid HTTP answer: {exc}", phase)
        if self.head is None and self._failure is None and self._head_size > HEAD_LIMIT:
            self._fail(*TOO_LARGE_HEAD)
        if self.head is None and self._failure is not None:
            raise probe_error(*self._failure)
        if len(self._body) > 1:
            self._body = [b"".join(self._body)]  # many small pieces would take many times their size
        if self._since_body > HEAD_LIMIT or self._wire > self._body_limit * _MOST_FRAMING + HEAD_LIMIT:
            self._fail(Code.LIMIT, "trailers or chunk sizes take far more bytes than the body", "transfer")

    def end(self, *, ragged: bool) -> None:
        """The server closed the connection. Raises ProbeError where that was too early."""
        if self.complete:
            return
        if self.head is None:
            text = "in the middle of the headers" if self._head_size else "without an answer"
            raise probe_error(Code.PROTOCOL, f"the server closed the connection {text}", "processing")
        if not self.head.close_delimited or ragged:
            announced = self.head.all(b"content-length")
            of = f" of {announced[0].decode('latin-1')}" if announced else ""
            raise probe_error(Code.PROTOCOL, f"the body ended after {self._body_size}{of} bytes", "transfer")
        self.complete = True

    def take(self) -> list[bytes]:
        """The pieces of the body that have come since the last call. Raises ProbeError once it has gone wrong."""
        if self._failure is not None:
            raise probe_error(*self._failure)
        pieces, self._body = self._body, []
        return pieces

    @property
    def can_go_on(self) -> bool:
        """Is the answer over, and the connection good for another one?"""
        head = self.head
        if head is None or not self.complete or self._failure is not None or head.version != "1.1":
            return False
        has_end = self._without_body or head.status in (204, 304) or not head.close_delimited
        return has_end and not any(b"close" in value.lower() for value in head.all(b"connection"))

    def let_go(self) -> None:
        """Feed no more: the parser refers to us, and a circle of the two would wait for the garbage collector."""
        self._parser = None

    def _too_much(self) -> None:
        """Something came after the end: a body that is none, or a second answer slipped in behind the first."""
        if not self._without_body:
            self._fail(Code.PROTOCOL, "bytes came after the end of the answer", "transfer")

    def _fail(self, code: Code, message: str, phase: str) -> None:
        """Keep the first failure; what follows from it is not worth a word."""
        if self._failure is None:
            self._failure = code, message, phase

    # What llhttp calls. An exception here would be wrapped, so failures are kept for `feed`.

    def on_message_begin(self) -> None:
        if self.complete:
            self._too_much()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head is None:  # trailers are of no use
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        parser = self._parser
        assert parser is not None  # noqa: S101 - it is the one that calls
        status, version = parser.get_status_code(), parser.get_http_version()
        if not self._opening.startswith(b"HTTP/") or version not in _VERSIONS:
            self._fail(Code.PROTOCOL, "not a valid HTTP answer: expected HTTP/1.0 or HTTP/1.1", "processing")
        elif status == 101:
            self._fail(Code.PROTOCOL, _SWITCHED, "processing")
        elif 100 <= status < 200:
            self._informational += 1
            self._headers = []
            if self._informational > MOST_INFORMATIONAL:
                text = f"more than {MOST_INFORMATIONAL} informational answers before the real one"
                self._fail(Code.LIMIT, text, "processing")
        elif self.head is None and self._failure is None:
            size = self._head_size  # of all that was fed so far; only where that is much need the headers be counted
            if size > HEAD_LIMIT and sum(len(name) + len(value) + 4 for name, value in self._headers) > HEAD_LIMIT:
                self._fail(*TOO_LARGE_HEAD)
                return
            self.head = Head(status, version, self._headers)
            self._headers = []
            self.complete = self._without_body

    def on_body(self, data: bytes) -> None:
        if self.complete or self._failure is not None:
            return
        self._since_body = 0
        self._body_size += len(data)
        if self._body_size > self._body_limit:
            self._failure = _larger_than(self._body_limit)
        else:
            self._body.append(data)

    def on_message_complete(self) -> None:
        if self.head is not None:
            self.complete = True


def over_limit(limit: int) -> ProbeError:
    """Build the failure of a body that is too large."""
    return probe_error(*_larger_than(limit))


def _larger_than(limit: int) -> _Failure:
    return Code.LIMIT, f"body is larger than {ByteSize(limit)}", "transfer"


class Decoder:
    """Undoes gzip or deflate in steps, never giving more than *limit* bytes in all."""

    def __init__(self, encoding: str, limit: int) -> None:
        """Begin; *encoding* is `gzip` or `deflate`."""
        self._limit = limit
        self._given = 0
        self._encoding = encoding
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 16 if encoding == "gzip" else zlib.MAX_WBITS)
        self._fed = False
        self._members = 1

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Give what *data* decodes to, in pieces. Raises ProbeError."""
        while data:
            piece = self._step(data)
            self._fed = True
            self._given += len(piece)
            if self._given > self._limit:
                raise over_limit(self._limit)
            if piece:
                yield piece
            data = self._inflate.unconsumed_tail
            if self._inflate.eof:
                data = self._next_member()

    def end(self) -> None:
        """The body is over. Raises ProbeError if the stream is not."""
        if self._fed and not self._inflate.eof:
            raise probe_error(Code.PROTOCOL, f"the {self._encoding} stream in the body is cut off", "transfer")

    def _step(self, data: bytes) -> bytes:
        try:
            return self._inflate.decompress(data, _STEP)
        except zlib.error as exc:
            if self._encoding == "deflate" and not self._fed:
                # Some servers send the bare stream that RFC 9110 warns of.
                self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
                self._fed = True
                return self._step(data)
            text = f"the body is not valid {self._encoding}"
            raise probe_error(Code.PROTOCOL, text, "transfer") from exc

    def _next_member(self) -> bytes:
        """What is left after a member of a gzip file: another one, or padding that is ignored."""
        rest = self._inflate.unused_data
        if self._encoding == "gzip" and rest.startswith(b"\x1f\x8b"):
            self._members += 1
            if self._members > _MOST_MEMBERS:
                text = f"the gzip stream in the body has more than {_MOST_MEMBERS} members"
                raise probe_error(Code.LIMIT, text, "transfer")
            self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
            return rest
        return b""


def decoder_for(head: Head, limit: int) -> Decoder | None:
    """The decoder an answer needs, None for a plain one. Raises ProbeError for an encoding that is refused."""
    encodings = [
        part
        for value in head.all(b"content-encoding")
        for part in value.decode("latin-1").lower().replace(" ", "").split(",")
        if part not in ("", "identity")
    ]
    if not encodings:
        return None
    if encodings in (["gzip"], ["x-gzip"]):
        return Decoder("gzip", limit)
    if encodings == ["deflate"]:
        return Decoder("deflate", limit)
    text = f"cannot look into a body with content-encoding {', '.join(encodings)[:60]}; gzip and deflate are read"
    raise probe_error(Code.LIMIT, text, "processing")
