"""The httpx transport that probes and sinks use: a fresh connection for each request, phases measured.

Phases: those of `connect`, then `processing` until the first byte of the answer and `transfer` to its end.
What the server encoded comes out decoded; the headers as they were are in the response's extension
`original_headers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import httpx
import trio

from monitor.core.errors import ProbeError, describe
from monitor.core.model import Code
from monitor.net import TLS
from monitor.net.http import AnswerReader, Decoder, decoder_for, render_request
from monitor.net.reasons import probe_error, reason_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from typing import NoReturn

    from monitor.net import Stream, Trace, Vet

_PORTS = {"http": 80, "https": 443}
_PREPARED = "monitor.prepared"
_ERRORS: dict[Code, type[httpx.TransportError]] = {
    Code.DNS: httpx.ConnectError,
    Code.CONNECT: httpx.ConnectError,
    Code.TLS: httpx.ConnectError,
    Code.POLICY: httpx.UnsupportedProtocol,
    Code.PROTOCOL: httpx.RemoteProtocolError,
    Code.LIMIT: httpx.RemoteProtocolError,
}


@attrs.frozen
class _Prepared:
    """A request, ready to go."""

    raw: bytes
    host: str
    port: int
    encrypted: bool


class Transport(httpx.AsyncBaseTransport):
    """See `monitor.plugin.Probe.transport`."""

    def __init__(
        self,
        connect: Callable[..., Awaitable[Stream]],
        trace: Trace,
        *,
        tls: TLS | None = None,
        address: str | None = None,
        vet: Vet | None = None,
        dns_ttl: float = 0.0,
        body_limit: int,
    ) -> None:
        """Open connections by *connect*, which is `Probe.connect`."""
        self._connect = connect
        self._trace = trace
        self._tls = tls or TLS()
        self._address = address
        self._vet = vet
        self._dns_ttl = dns_ttl
        self._body_limit = body_limit

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request*; the response's body is read as it is iterated over."""
        try:
            prepared = request.extensions.get(_PREPARED) or await _prepare(request)
            stream = await self._connect(
                prepared.host,
                prepared.port,
                tls=self._tls if prepared.encrypted else None,
                address=self._address,
                vet=self._vet,
                dns_ttl=self._dns_ttl,
            )
            try:
                return await self._exchange(request, prepared.raw, stream)
            except BaseException:
                stream.close()
                raise
        except (ProbeError, trio.BrokenResourceError) as exc:
            _raise_as_httpx(exc, request, self._trace)

    async def _exchange(self, request: httpx.Request, raw: bytes, stream: Stream) -> httpx.Response:
        self._trace.phase("processing")
        reader = AnswerReader(body_limit=self._body_limit, without_body=request.method == "HEAD")
        await _send(stream, raw)
        first = True
        while reader.head is None:
            data = await stream.receive_some()
            if first and data:
                self._trace.phase("transfer")
                first = False
            reader.feed(data) if data else reader.end(ragged=stream.ragged)
        head = reader.head
        # What comes out is decoded, so httpx must not try to do it again.
        hidden = (b"content-encoding", b"content-length") if head.all(b"content-encoding") else ()
        return httpx.Response(
            head.status,
            headers=[(name, value) for name, value in head.headers if name.lower() not in hidden],
            stream=_Body(reader, stream, request, self._trace, limit=self._body_limit),
            extensions={"http_version": b"HTTP/" + head.version.encode("ascii"), "original_headers": head.headers},
        )


class _Body(httpx.AsyncByteStream):
    """The body of one answer; closes its connection at the end."""

    def __init__(
        self, reader: AnswerReader, stream: Stream, request: httpx.Request, trace: Trace, *, limit: int
    ) -> None:
        self._reader = reader
        self._stream = stream
        self._request = request
        self._trace = trace
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        decoder: Decoder | None = None
        try:
            while True:
                for data in self._reader.take():
                    decoder = decoder or self._decoder()
                    if decoder is None:
                        yield data
                        continue
                    for piece in decoder.decode(data):
                        yield piece
                        await trio.lowlevel.checkpoint()
                if self._reader.complete:
                    break
                data = await self._stream.receive_some()
                self._reader.feed(data) if data else self._reader.end(ragged=self._stream.ragged)
            if decoder is not None:
                decoder.end()
        except (ProbeError, trio.BrokenResourceError) as exc:
            _raise_as_httpx(exc, self._request, self._trace)
        finally:
            self._stream.close()

    def _decoder(self) -> Decoder | None:
        assert self._reader.head is not None  # noqa: S101 - there is no body before the head
        return decoder_for(self._reader.head, self._limit)

    async def aclose(self) -> None:
        self._stream.close()


async def _prepare(request: httpx.Request) -> _Prepared:
    """Work out what to send where; kept with the request, for a check that sends the same at every probe."""
    url = request.url
    if url.scheme not in _PORTS or not url.host:
        raise probe_error(Code.POLICY, f"cannot speak {url.scheme or 'a URL without scheme'}", None)
    try:
        raw = render_request(request.method, url.raw_path, request.headers.raw, await request.aread())
    except ValueError as exc:
        raise probe_error(Code.POLICY, f"cannot send the request: {exc}", None) from exc
    host, port = url.raw_host.decode("ascii"), url.port or _PORTS[url.scheme]
    prepared = request.extensions[_PREPARED] = _Prepared(raw, host, port, encrypted=url.scheme == "https")
    return prepared


async def _send(stream: Stream, raw: bytes) -> None:
    """Send the request; a server may answer and close before it has read all of it, so its answer counts."""
    try:
        await stream.send_all(raw)
    except trio.BrokenResourceError:
        if len(raw) < 1024:
            raise


def _raise_as_httpx(exc: Exception, request: httpx.Request, trace: Trace) -> NoReturn:
    """Raise the httpx error that fits; its `__cause__` has the reason."""
    reason = reason_of(exc)
    if reason is None:
        raise httpx.ReadError(describe(exc), request=request) from exc
    kind = _ERRORS.get(reason.code, httpx.ReadError)
    if reason.phase is None:
        exc = probe_error(reason.code, reason.message, getattr(trace, "current_phase", None))
    raise kind(reason.message, request=request) from exc
