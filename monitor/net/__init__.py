"""The one seam to the outside: everything that opens a socket goes through a `Net`.

`Net` is an interface: `SocketNet` (monitor.net.sockets) is the real one, tests and the simulation bring their own.
Whatever goes wrong is a `ProbeError` with a finished reason; own trouble (no descriptors, no DNS worker) has a
code that makes it `unknown`, never `down`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

import attrs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence
    from datetime import datetime
    from pathlib import Path

    from dns.message import QueryMessage

    from monitor.net.nameservers import NameServer
    from monitor.net.proxy import Proxy

    Vet = Callable[[str], None]
    """Asked about an IP address before it is connected to; raises ProbeError to refuse it."""


@attrs.frozen(kw_only=True)
class TLS:
    """How to speak TLS; one SSLContext is made and kept for each distinct value of all but the last."""

    verify: bool = True
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None  # default: the key is in `client_cert`, too
    min_tls: Literal["1.2", "1.3"] | None = None
    alpn: tuple[str, ...] = ("http/1.1",)  # application protocols to offer; none: the extension is not sent
    server_name: str | None = None  # default: the host


@attrs.frozen(kw_only=True)
class Addressing:
    """How a host becomes the addresses to connect to."""

    address: str | None = None  # an address or a name to resolve in place of the host's
    ip_version: Literal[4, 6] | None = None  # only addresses of this family
    dns_ttl: float = 0.0  # seconds: how old an earlier look-up's answer may be; 0: look up now
    dns_resolver: NameServer | None = None  # whom to ask in place of the system
    proxy: Proxy | None = None  # through which; then all but `address` is about how the proxy is found


ANY_ADDRESS = Addressing()


class Drive(Protocol):
    """See `monitor.net.reactor.drive`."""

    def __call__(self, coroutine: Coroutine[Any, Any, None], *, timeout: float, deadline: float) -> Awaitable[None]:
        """Run *coroutine* to its end, at the latest until the *deadline*, *timeout* seconds from now."""


class Trace(Protocol):
    """Where the net notes what it does: `monitor.probe.Probe` is one.

    *own_trouble* is set while the net waits for something of the monitor's own, a free DNS worker: a deadline
    that passes meanwhile says nothing about the endpoint. *started_at* is when it all began, aware UTC.
    *certificate_expires* is when the first of the certificates that were seen so far does. *secured* is what the
    latest handshake of TLS agreed on.
    """

    facts: dict[str, Any]
    started_at: datetime
    certificate_expires: datetime | None
    secured: Secured | None

    @property
    def own_trouble(self) -> str | None:
        """What of the monitor's own keeps the probe waiting now."""

    @own_trouble.setter
    def own_trouble(self, why: str | None) -> None: ...

    def phase(self, name: str | None) -> None:
        """Say what begins now."""


class Closable(Protocol):
    """What holds a socket."""

    def close(self) -> None:
        """Close; never blocks, and may be called again."""


class Stream(Protocol):
    """A connection: compatible with `trio.abc.Stream`, and it knows its peer.

    A broken connection is a `trio.BrokenResourceError` whose `__cause__` is a ProbeError with the reason.
    """

    ip: str
    ragged: bool
    """Did the stream end without the close_notify that TLS asks for? Then what came may be cut off."""

    @property
    def alpn(self) -> str | None:
        """The application protocol that TLS agreed upon, such as `h2`; None: it did not, or there is no TLS."""

    @property
    def is_quiet(self) -> bool:
        """Has nothing come on a connection that was left alone, not even its end? Where something has, it is lost."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of *data*."""

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until `send_all` might not block."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive what is there; `b""` at the end of the stream."""

    async def aclose(self) -> None:
        """Close, at once and without ceremony."""

    def close(self) -> None:
        """Close as `aclose` does; never blocks, and may be called again."""


class Secured(Protocol):
    """What a handshake of TLS agreed on, and whom it showed."""

    @property
    def cipher(self) -> str:
        """OpenSSL's name of the cipher suite."""

    @property
    def alpn(self) -> str | None:
        """The application protocol that was agreed on."""

    @property
    def chain(self) -> Sequence[bytes]:
        """The certificates that the server sent, DER, its own first; trusted or not."""


class Datagrams(Protocol):
    """A way to send datagrams to one address, from which alone they are taken.

    `send` and `receive` raise ProbeError for what the network says of an earlier datagram: that nobody listens there.
    """

    ip: str

    async def send(self, data: bytes) -> None:
        """Send *data* as one datagram."""

    async def receive(self) -> bytes:
        """The next datagram, however long that takes."""

    def close(self) -> None:
        """Close; never blocks, and may be called again."""


@attrs.frozen(kw_only=True)
class Echo:
    """The reply to an echo request."""

    sequence: int
    hops: int | None  # how many more it could have gone; None: the system does not say


class Echoes(Protocol):
    """A way to send ICMP echo requests to one address; raises as `Datagrams` do."""

    ip: str

    async def send(self, sequence: int) -> None:
        """Send request number *sequence*, 0-65535."""

    async def receive(self) -> Echo:
        """The next reply to a request of ours, however long that takes; one may be answered twice."""

    def close(self) -> None:
        """Close; never blocks, and may be called again."""


class Answer(Protocol):
    """What a server answered: the head at once, the body when it is read."""

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def version(self) -> str:
        """`1.1`, or `2`."""

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Names as the server wrote them, in its order."""

    @property
    def trailers(self) -> list[tuple[bytes, bytes]]:
        """What came after the body, once it is read; of HTTP/2 alone."""

    async def read(self) -> bytes:
        """Read the whole body, decoded. Raises ProbeError, or `trio.BrokenResourceError` caused by one."""

    def close(self) -> None:
        """Close the connection; what was not read is lost."""


class Net(Protocol):
    """The way out."""

    @property
    def drive(self) -> Drive | None:
        """How to run what waits for this net's connections alone (`monitor.net.reactor`); None: as all else."""

    async def connect(
        self,
        host: str,
        port: int,
        *,
        trace: Trace,
        tls: TLS | None = None,
        addressing: Addressing = ANY_ADDRESS,
        vet: Vet | None = None,
    ) -> Stream:
        """Open a fresh connection; see `Probe.connect`."""

    async def start_tls(self, stream: Stream, host: str, *, trace: Trace, tls: TLS) -> None:
        """Speak TLS on *stream* from now on; see `Probe.start_tls`."""

    async def addresses(self, host: str, *, trace: Trace, addressing: Addressing = ANY_ADDRESS) -> list[str]:
        """Every address of *host*; see `Probe.addresses`."""

    async def datagrams(self, host: str, port: int, *, trace: Trace, addressing: Addressing = ANY_ADDRESS) -> Datagrams:
        """Open a way for datagrams by UDP; see `Probe.datagrams`."""

    async def echoes(self, host: str, *, size: int, trace: Trace, addressing: Addressing = ANY_ADDRESS) -> Echoes:
        """Open a way for ICMP echoes; see `Probe.echoes`."""

    async def ask(
        self,
        name: str,
        kind: str,
        *,
        server: NameServer | None,
        recursion: bool,
        trace: Trace,
        tls: TLS,
        addressing: Addressing = ANY_ADDRESS,
    ) -> QueryMessage:
        """Ask a name server; see `Probe.ask`."""
