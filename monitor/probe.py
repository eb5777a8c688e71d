"""One probe under way: what the engine hands to a check. Plugins import it by `monitor.api`.

Nothing here imports trio or httpx when it is loaded, as in `monitor.plugin`.
"""

from __future__ import annotations

import copy
import functools
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from monitor.core import certificates
from monitor.core.expectations import NO_EXPECTATIONS, Expectations
from monitor.core.facts import observed
from monitor.net import ANY_ADDRESS, TLS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    import httpx
    from dns.message import QueryMessage

    from monitor.companion import Companion, Staying
    from monitor.core.heartbeats import Beat
    from monitor.core.model import Verdict
    from monitor.core.ports import Clock, Mask
    from monitor.core.programs import Programs, Ran
    from monitor.net import Addressing, Closable, Datagrams, Echoes, Net, Secured, Stream, Vet
    from monitor.net.nameservers import NameServer
    from monitor.net.transport import Transport

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

DEFAULT_BODY_LIMIT = 1024 * 1024
NO_ALPN = TLS(alpn=())  # it is no HTTP that comes


@functools.cache
def _transport_class() -> Callable[..., Transport]:
    from monitor.net.transport import Transport  # noqa: PLC0415 - httpx is not for everybody

    return Transport


class Probe:
    """One probe under way: where a check notes what it does and finds, and what it reaches the world with.

    *facts* by name, values as `Fact` says, and *phases*, seconds by name, survive a timeout. *current_phase* is the
    one that was entered last. *started_at* is when it began by the wall clock, aware UTC.
    """

    def __init__(
        self,
        *,
        net: Net,
        clock: Clock,
        expect: Expectations = NO_EXPECTATIONS,
        mentioned: frozenset[str] = frozenset(),
        beat: Beat | None = None,
        endpoint: str = "",
        companion: Companion | None = None,
        programs: Programs | None = None,
    ) -> None:
        """Begin; made by the engine, or by `monitor.testing`."""
        self.started_at: datetime = clock.wall()
        self.beat = beat  # of a check with a `push_token`
        self.companion = companion  # of a check that `stays`; None where nobody will be there after this probe
        self.facts: dict[str, Any] = {}
        self.phases: dict[str, float] = {}
        self.current_phase: str | None = None
        self.held_up: float = 0.0  # seconds lost to the monitor's own trouble, that under way not counted
        self._own_trouble: str | None = None
        self._own_trouble_since = 0.0
        self.certificate_expires: datetime | None = None
        self.secured: Secured | None = None  # what the latest handshake of TLS agreed on
        self._began: float | None = None
        self._phase_since = 0.0
        self._net = net
        self._clock = clock
        self._expect = expect
        self._mentioned = mentioned
        self.endpoint = endpoint  # its name, empty in tests of a check
        self._programs = programs
        self._http: httpx.AsyncClient | None = None
        self._streams: list[Closable] = []
        self._concealed: set[str] = set()
        self._whole: Probe | None = None  # of which this is a part

    def phase(self, name: str | None) -> None:
        """Say what begins now; the time until the next call counts for it (again, if it was entered before)."""
        now = self._clock.monotonic()
        if self.current_phase is not None:
            spent = now - self._phase_since
            self.phases[self.current_phase] = self.phases.get(self.current_phase, 0.0) + spent
        self.current_phase, self._phase_since = name, now
        if self._began is None:
            self._began = now

    @property
    def own_trouble(self) -> str | None:
        """What of the monitor's own keeps this probe waiting now; for the engine."""
        return self._own_trouble

    @own_trouble.setter
    def own_trouble(self, why: str | None) -> None:
        if self._whole is not None:
            self._whole.own_trouble = why
            return
        now = self._clock.monotonic()
        if self._own_trouble is not None:
            self.held_up += now - self._own_trouble_since
        self._own_trouble, self._own_trouble_since = why, now

    def now(self) -> datetime:
        """The wall clock, aware UTC."""
        return self._clock.wall()

    def monotonic(self) -> float:
        """Seconds on the event loop's clock."""
        return self._clock.monotonic()

    def time_left(self) -> float:
        """Seconds until the deadline: for a library in a thread, which must be told a timeout of its own."""
        import trio  # noqa: PLC0415

        return max(0.0, trio.current_effective_deadline() - trio.current_time())

    def expects(self, fact: str) -> bool:
        """Does the endpoint's `expect` mention *fact*? Then the check's own default for it does not apply."""
        return fact in self._expect.names

    def complaint(self, seconds: float, *, but: Collection[str] = ()) -> str | None:
        """What the endpoint's `expect` says of the facts so far, if the probe were over after *seconds*; None: no word.

        For a part of the whole (`aside`): expressions that mention one of the facts in *but*, which only the whole
        has, do not count.
        """
        facts = observed(self.facts, self.phases, seconds)
        return self._expect.without(but).first_false(facts)

    def mentions(self, fact: str) -> bool:
        """Does `expect` or `degraded` mention *fact*? Where not, a costly one need not be found out."""
        return fact in self._mentioned

    def conceal(self, secret: str) -> None:
        """Keep *secret*, which this probe came by, out of its message and its facts: an access token, a session.

        What has fewer than six characters is none.
        """
        if secret.strip():
            self._concealed.add(secret)

    def masking(self, mask: Mask | None) -> Mask | None:
        """*mask*, and what hides all that was concealed; for the engine."""
        if not self._concealed:
            return mask
        from monitor.core.concealing import Concealing  # noqa: PLC0415 - few probes come by a secret

        return Concealing(mask, self._concealed)

    def aside(self) -> Probe:
        """A probe within this one, for what is not the endpoint itself, or only one of its parts.

        Its facts, phases and certificates are its own; the deadline, connections, secrets and the monitor's own
        trouble are this one's.
        """
        part = copy.copy(self)
        part.facts, part.phases, part.certificate_expires = {}, {}, None
        part.current_phase = part.secured = part._began = part._http = None  # noqa: SLF001 - it is one of us
        part._whole = self  # noqa: SLF001
        return part

    def certificate_verdict(self, warning: float) -> Verdict:
        """Up; or degraded, reason `tls`, where a certificate seen so far ends within *warning* seconds (0: never).

        For the end of a check that has nothing to complain about; of several certificates the first to end counts.
        """
        return certificates.verdict(self.certificate_expires, self.started_at, warning)

    async def connect(
        self,
        host: str,
        port: int,
        *,
        tls: TLS | None = None,
        addressing: Addressing = ANY_ADDRESS,
        vet: Vet | None = None,
    ) -> Stream:
        """Open a fresh connection: phases resolve, connect and tls, facts ip, tls_version and cert_*.

        *addressing* says how *host* becomes addresses. *vet* is asked about every address before it is connected
        to, and raises ProbeError to refuse it. Raises ProbeError.
        """
        stream = await self._net.connect(host, port, trace=self, tls=tls, addressing=addressing, vet=vet)
        self._streams.append(stream)
        return stream

    async def addresses(self, host: str, *, addressing: Addressing = ANY_ADDRESS) -> list[str]:
        """Every IP address that `connect` might choose from, best first: phase resolve. Raises ProbeError."""
        return await self._net.addresses(host, trace=self, addressing=addressing)

    async def datagrams(self, host: str, port: int, *, addressing: Addressing = ANY_ADDRESS) -> Datagrams:
        """Open a way to send datagrams by UDP to *host*: phases resolve and setup, fact ip. Raises ProbeError."""
        opened = await self._net.datagrams(host, port, trace=self, addressing=addressing)
        self._streams.append(opened)
        return opened

    async def echoes(self, host: str, *, size: int = 56, addressing: Addressing = ANY_ADDRESS) -> Echoes:
        """Open a way to send ICMP echo requests to *host*: phases resolve and setup, fact ip.

        *size* is how many bytes they carry, 16 at least. Raises ProbeError; where the system lets the monitor send
        none it is `internal`, and says what to set.
        """
        opened = await self._net.echoes(host, size=size, trace=self, addressing=addressing)
        self._streams.append(opened)
        return opened

    async def ask(
        self,
        name: str,
        kind: str,
        *,
        server: NameServer | None = None,
        recursion: bool = True,
        tls: TLS = NO_ALPN,
        addressing: Addressing = ANY_ADDRESS,
    ) -> QueryMessage:
        """Ask *server*, by default those of this machine, for records of *kind* (`MX`): phases resolve and request.

        The answer is dnspython's, whatever its rcode: of whom was asked, to what was asked, and 8 KiB at most. *tls*
        is for servers by TLS, *addressing* says how the server becomes addresses. Raises ProbeError.
        """
        return await self._net.ask(
            name, kind, server=server, recursion=recursion, trace=self, tls=tls, addressing=addressing
        )

    async def start_tls(self, stream: Stream, host: str, *, tls: TLS) -> None:
        """Speak TLS on *stream*, which `connect` gave, from now on: for what begins in the clear (STARTTLS).

        Phase tls, and the facts of `connect`. *host* is whom the certificate must name. Raises ProbeError.
        """
        await self._net.start_tls(stream, host, trace=self, tls=tls)

    async def keep(self, staying: Staying) -> Any:
        """What stays with the endpoint between its probes, begun by *staying* where nothing does.

        *staying* is called as by Trio's `Nursery.start`: with `task_status`, whose `started(value)` it calls once
        it has begun; `keep` returns that value, at this probe and the next. Until then the deadline is this probe's,
        and facts and phases are noted here; it may use this probe no more afterwards, but for what it connected to,
        which is closed when it ends. What it raises fails the next probe, which comes at once, as if that had
        raised it; it may also return, which is nobody's fault. Then it is begun anew after a pause, in which `keep`
        raises the last complaint. It is cancelled when the endpoint is no longer watched, its config changes, or a
        probe runs into its deadline. For a check that `stays`, and where there is a `companion`.
        """
        if self.companion is None:
            raise RuntimeError("there is no companion: the check does not say that it stays, or nobody watches")
        opened = len(self._streams)
        value = await self.companion.get(staying)
        if len(self._streams) > opened:
            self.companion.adopt(self._streams[opened:])
            del self._streams[opened:]
        return value

    def transport(
        self,
        *,
        tls: TLS | None = None,
        addressing: Addressing = ANY_ADDRESS,
        vet: Vet | None = None,
        body_limit: int = DEFAULT_BODY_LIMIT,
        http2_only: bool = False,
        keepalive: bool = False,
    ) -> Transport:
        """An httpx transport that opens a fresh connection for each request, bounded in size, phases measured.

        With *http2_only* HTTP/2 is spoken in the clear, too, and with TLS the server must agree to it. With *keepalive*
        the connection stays with the `companion`, if there is one: fact reused. What goes wrong is an
        `httpx.TransportError` whose `__cause__` is a ProbeError with the reason.
        """
        cls = _transport_class()
        if keepalive and self.companion is not None:
            from monitor.net.keeping import KeepingTransport  # noqa: PLC0415 - as httpx

            cls = functools.partial(KeepingTransport, keep=self.keep, let_go=self.companion.let_go)
        return cls(
            self.connect, self, tls=tls, addressing=addressing, vet=vet, body_limit=body_limit, http2_only=http2_only
        )

    @property
    def http(self) -> httpx.AsyncClient:
        """An httpx client over `transport()`: no pool, no environment, redirects only on request."""
        if self._http is None:
            import httpx  # noqa: PLC0415

            self._http = httpx.AsyncClient(transport=self.transport(), trust_env=False, timeout=None)  # noqa: S113 - the probe's deadline holds
        return self._http

    async def in_thread(self, work: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call *work* with *args* in a thread, for a library that blocks; return what it returns, raise what it raises.

        At the deadline, or when the monitor stops, the call is left behind: a thread cannot be killed. So tell the
        library to end by itself, within `time_left()`. Sixty-four calls run at once, those left behind not counted;
        the wait for a free thread is the monitor's own trouble. An endpoint with four that were left behind and still
        run begins no more: its probes are `unknown` until one comes back. *work* must not touch the probe: give it
        values, and note facts when it is back.
        """
        from monitor.threads import threads_of_this_run  # noqa: PLC0415 - it costs Trio, which only who probes needs

        return await threads_of_this_run().call(functools.partial(work, *args), owner=self.endpoint, trace=self)

    async def run(
        self, command: Sequence[str], *, env: Mapping[str, str] | None = None, directory: Path | None = None
    ) -> Ran:
        """Run a program to its end: *command* is its name or path, and its arguments; there is no shell.

        It gets an empty input, a session of its own, little of the monitor's environment (PATH, HOME, LANG and the
        like) and *env*, and works in *directory*. When it ends, or the deadline passes, everything that it started
        ends with it, daemons too. What it prints beyond 64 KiB is dropped. Raises ProbeError where it cannot be
        started, or uses too much memory.
        """
        if self._programs is None:
            raise RuntimeError("this probe cannot run programs")
        return await self._programs.run(command, env=env or {}, cwd=None if directory is None else str(directory))

    def close(self) -> None:
        """Close every connection. For the engine."""
        for stream in self._streams:
            stream.close()

    def finish(self, began: float, ended: float) -> float:
        """End the last phase, close every connection; return the probe's duration in seconds.

        It runs from the first phase, or from *began* where the check entered none, until *ended*. For the engine.
        """
        try:
            if self.current_phase is not None:
                spent = ended - self._phase_since
                self.phases[self.current_phase] = self.phases.get(self.current_phase, 0.0) + spent
            self.current_phase = None
        finally:  # a check may have spoilt its phases; its connections are closed all the same
            self.close()
        return ended - (began if not self.phases or self._began is None else self._began)
