"""The httpx face of the net: a transport that probes and sinks use, with a fresh connection for each request.

What the server encoded comes out decoded.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import attrs
import httpx
import trio

from monitor.core.errors import ProbeError, describe
from monitor.core.model import Code
from monitor.net import ANY_ADDRESS, TLS
from monitor.net.exchange import Prepared, WholeAnswer, exchange
from monitor.net.http import render_request
from monitor.net.proxy import PHASE
from monitor.net.reasons import probe_error, reason_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from typing import NoReturn

    from monitor.net import Addressing, Stream, Trace, Vet
    from monitor.net.http2 import Session
    from monitor.net.proxy import Proxy

_PORTS = {"http": 80, "https": 443}
PREPARED, PREPARED_TO_STAY = "monitor.prepared", "monitor.prepared.to_stay"
_ERRORS: dict[Code, type[httpx.TransportError]] = {
    Code.DNS: httpx.ConnectError,
    Code.CONNECT: httpx.ConnectError,
    Code.TLS: httpx.ConnectError,
    Code.POLICY: httpx.UnsupportedProtocol,
    Code.PROTOCOL: httpx.RemoteProtocolError,
    Code.LIMIT: httpx.RemoteProtocolError,
}


class Transport(httpx.AsyncBaseTransport):
    """See `monitor.probe.Probe.transport`."""

    def __init__(
        self,
        connect: Callable[..., Awaitable[Stream]],
        trace: Trace,
        *,
        tls: TLS | None = None,
        addressing: Addressing = ANY_ADDRESS,
        vet: Vet | None = None,
        body_limit: int,
        http2_only: bool = False,
    ) -> None:
        """Open connections by *connect*, which is `Probe.connect`."""
        self._connect = connect
        self._trace = trace
        self._tls = tls or TLS()
        self._addressing = addressing
        self._vet = vet
        self._body_limit = body_limit
        self._http2_only = http2_only

    async def exchange(self, request: httpx.Request) -> WholeAnswer:
        """Send *request* and read the head of its answer; close the answer.

        For a check that does without httpx's response: it costs as much as all of a probe's system calls. Raises
        ProbeError, or `trio.BrokenResourceError` caused by one.
        """
        prepared = request.extensions.get(PREPARED) or await prepare(request, self._forwarder)
        stream = await self._opened(prepared)
        try:
            return await self._asked(request, prepared, stream, self._session_on(stream, prepared))
        except BaseException:
            stream.close()
            raise

    @property
    def _forwarder(self) -> Proxy | None:
        """The proxy that is asked for whole URLs of `http`. Not where another address is wanted, which no URL says."""
        proxy = self._addressing.proxy
        return proxy if proxy is not None and proxy.speaks_http and self._addressing.address is None else None

    def _opened(self, prepared: Prepared) -> Awaitable[Stream]:
        """A connection to whom is asked: the server, or a proxy that is to ask it (RFC 9112, 3.2.2)."""
        addressing = self._addressing
        if prepared.by_proxy and addressing.proxy is not None:
            addressing = attrs.evolve(addressing, proxy=attrs.evolve(addressing.proxy, tunnel=False))
        tls = self._tls if prepared.encrypted else None
        return self._connect(prepared.host, prepared.port, tls=tls, addressing=addressing, vet=self._vet)

    def _session_on(self, stream: Stream, prepared: Prepared) -> Session | None:
        """What HTTP/2 is to know of *stream*, where the server has agreed to speak it; None: it is HTTP/1.1.

        Without TLS there is nobody to ask. Raises ProbeError where the server must have agreed.
        """
        agreed = "h2" in self._tls.alpn and stream.alpn == "h2"
        if self._http2_only and prepared.encrypted and not agreed:
            raise probe_error(Code.PROTOCOL, "the server does not speak HTTP/2: it did not agree to it (ALPN)", "tls")
        if prepared.by_proxy or not (agreed or self._http2_only):
            return None
        from monitor.net.http2 import Session  # noqa: PLC0415 - for those who offer it to the server

        return Session()

    def _asked(
        self, request: httpx.Request, prepared: Prepared, stream: Stream, session: Session | None
    ) -> Awaitable[WholeAnswer]:
        """Send *request* on *stream* and read the head of its answer."""
        if session is not None:
            return self._asked_by_http2(request, stream, session)
        if prepared.by_proxy:
            return self._asked_by_proxy(prepared, stream)
        return exchange(prepared, stream, self._trace, body_limit=self._body_limit)

    async def _asked_by_http2(self, request: httpx.Request, stream: Stream, session: Session) -> WholeAnswer:
        from monitor.net import http2  # noqa: PLC0415 - as above

        url = request.url
        asked = http2.prepare(
            request.method, url.netloc, url.raw_path, request.headers.raw, await request.aread(), scheme=url.scheme
        )
        return await http2.exchange(asked, session, stream, self._trace, body_limit=self._body_limit)

    async def _asked_by_proxy(self, prepared: Prepared, stream: Stream) -> WholeAnswer:
        answer = await exchange(prepared, stream, self._trace, body_limit=self._body_limit)
        proxy = self._addressing.proxy
        if proxy is not None and answer.status == 407:  # its own answer: it lets nobody in
            raise probe_error(Code.CONNECT, proxy.refusal(answer.status, prepared.host), PHASE)
        return answer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request*; the response's body is read as it is iterated over."""
        try:
            answer = await self.exchange(request)
        except (ProbeError, trio.BrokenResourceError) as exc:
            _raise_as_httpx(exc, request, self._trace)
        # What comes out is decoded, so httpx must not try to do it again.
        encoded = any(name.lower() == b"content-encoding" for name, _ in answer.headers)
        hidden = (b"content-encoding", b"content-length") if encoded else ()
        return httpx.Response(
            answer.status,
            headers=[(name, value) for name, value in answer.headers if name.lower() not in hidden],
            stream=_Body(answer, request, self._trace),
            extensions={"http_version": b"HTTP/" + answer.version.encode("ascii")},
        )


class _Body(httpx.AsyncByteStream):
    """The body of one answer; closes its connection at the end."""

    def __init__(self, answer: WholeAnswer, request: httpx.Request, trace: Trace) -> None:
        self._answer = answer
        self._request = request
        self._trace = trace

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async with contextlib.aclosing(self._answer.pieces()) as pieces:
                async for piece in pieces:
                    yield piece
        except (ProbeError, trio.BrokenResourceError) as exc:
            _raise_as_httpx(exc, self._request, self._trace)
        finally:
            self._answer.close()

    async def aclose(self) -> None:
        self._answer.close()


async def prepare(request: httpx.Request, proxy: Proxy | None, *, close: bool = True) -> Prepared:
    """Work out what to send where; kept with the request, which goes by the same way each time.

    *proxy* is who is asked for whole URLs, if anybody; *close*: the server is asked to close the connection after it.
    """
    url = request.url
    if url.scheme not in _PORTS or not url.host:
        raise probe_error(Code.POLICY, f"cannot speak {url.scheme or 'a URL without scheme'}", None)
    target, headers, by_proxy = url.raw_path, request.headers.raw, False
    if proxy is not None and url.scheme == "http":
        by_proxy = True
        target = b"http://" + url.netloc + target
        if authorization := proxy.authorization:
            headers = [*headers, (b"Proxy-Authorization", authorization)]
    try:
        raw = render_request(request.method, target, headers, await request.aread(), close=close)
    except ValueError as exc:
        raise probe_error(Code.POLICY, f"cannot send the request: {exc}", None) from exc
    prepared = request.extensions[PREPARED if close else PREPARED_TO_STAY] = Prepared(
        raw=raw,
        host=url.raw_host.decode("ascii"),
        port=url.port or _PORTS[url.scheme],
        encrypted=url.scheme == "https",
        without_body=request.method == "HEAD",
        by_proxy=by_proxy,
    )
    return prepared


def _raise_as_httpx(exc: Exception, request: httpx.Request, trace: Trace) -> NoReturn:
    """Raise the httpx error that fits; its `__cause__` has the reason."""
    reason = reason_of(exc)
    if reason is None:
        raise httpx.ReadError(describe(exc), request=request) from exc
    kind = _ERRORS.get(reason.code, httpx.ReadError)
    if reason.phase is None:
        exc = probe_error(reason.code, reason.message, getattr(trace, "current_phase", None))
    raise kind(reason.message, request=request) from exc
