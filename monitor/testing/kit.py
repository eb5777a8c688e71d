"""What a test of a check or sink is written with: the clock and the network are stand-ins, all else is the engine."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import trio
import trio.testing

from monitor.companion import Companions
from monitor.config.fields import Fields
from monitor.config.secrets import Masker
from monitor.config.texts import Texts
from monitor.core.alerting.render import render
from monitor.core.errors import DeliveryError
from monitor.core.expectations import compile_all
from monitor.core.model import Code, Endpoint, Incident, Observation, Reason, State, Status
from monitor.core.quantities import Duration, seconds_text
from monitor.plugin import Check
from monitor.probing import probe_once
from monitor.supervisor import Supervisor
from monitor.telling import Message, Sink
from monitor.testing.standins import BEGIN, MemoryNet, Server, VirtualClock
from monitor.testing.threads import PatientThreads
from monitor.threads import use_in_this_run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from monitor.core.programs import Ran

C = TypeVar("C", bound=Check)
T = TypeVar("T")


def check_of(cls: type[C], /, **options: Any) -> C:
    """Make the check that a config with *options* would; they are TOML values: `within="5s"`.

    Raises ValueError with every mistake in them. Nothing is inserted from the environment.
    """
    return Fields(Texts({}, Masker(), Path())).table(cls, options)


def look(
    check: Check,
    server: Server | None = None,
    *,
    timeout: float = 5.0,
    expect: Sequence[str] = (),
    degraded: Sequence[str] = (),
    programs: Callable[[Sequence[str]], Ran] | None = None,
    patience: float = 5.0,
) -> Observation:
    """Probe *check* once; every connection it opens is answered by *server*, None: refused.

    Host names and ports may be any. TLS is not spoken: what is sent arrives as it is, and `tls_version` is `1.3`.
    *timeout* is the endpoint's, in virtual seconds; *expect* and *degraded* are its expressions. *programs* is called
    with each command that the check runs, and says what comes of it. Virtual time waits for calls in threads
    (`Probe.in_thread`): for *patience* real seconds, then they hang. Raises ExpectationError for an expression that no
    config would take. Not for use inside a running event loop.
    """
    endpoint = _endpoint(check, timeout=timeout, expect=expect, degraded=degraded)

    async def once() -> Observation:
        async with trio.open_nursery() as servers:
            seen = await probe_once(
                endpoint,
                net=MemoryNet(servers, server),
                clock=VirtualClock(),
                mask=None,
                programs=None if programs is None else _Programs(programs),
            )
            servers.cancel_scope.cancel()
        return seen

    return _in_virtual_time(once, patience)


def watch(
    check: Check, server: Server | None = None, *, seconds: float, interval: float = 30.0, timeout: float = 5.0
) -> list[Observation]:
    """Watch *check* for so many virtual *seconds* as the daemon does, and give what was observed.

    For a check that `stays`: what it keeps is there from one probe to the next. The first probe comes within
    *interval*; while one is not up the next comes after 5 s. The rest is as for `look`.
    """
    endpoint = _endpoint(check, interval=interval, timeout=timeout)
    seen: list[Observation] = []

    async def record(_: Endpoint, observation: Observation) -> bool:
        seen.append(observation)
        return observation.status is not Status.UP

    async def for_a_while() -> None:
        clock = VirtualClock()
        companions = Companions(clock)
        async with trio.open_nursery() as servers:
            net = MemoryNet(servers, server)

            async def probe(watched: Endpoint) -> Observation:
                return await probe_once(watched, net=net, clock=clock, mask=None, companion=companions.of(watched))

            async with trio.open_nursery() as checkers:
                slots = trio.CapacityLimiter(1)
                supervisor = Supervisor(checkers, probe=probe, record=record, slots=slots, beside=companions.beside)
                supervisor.start(endpoint)
                await trio.sleep(seconds)
                supervisor.stop_all()
            servers.cancel_scope.cancel()

    _in_virtual_time(for_a_while)
    return seen


@attrs.frozen
class _Programs:
    answer: Callable[[Sequence[str]], Ran]

    async def run(self, command: Sequence[str], *, env: Mapping[str, str], cwd: str | None = None) -> Ran:  # noqa: ARG002 - as the real one
        await trio.lowlevel.checkpoint()
        return self.answer(command)


def _in_virtual_time(main: Callable[[], Awaitable[T]], patience: float = 5.0) -> T:
    clock = trio.testing.MockClock(autojump_threshold=0)

    async def begin() -> T:
        use_in_this_run(PatientThreads(clock, patience))
        return await main()

    return trio.run(begin, clock=clock)


def _endpoint(
    check: Check, *, timeout: float, interval: float = 30.0, expect: Sequence[str] = (), degraded: Sequence[str] = ()
) -> Endpoint:
    return Endpoint(
        name="test",
        kind="test",
        check=check,
        target=check.target,
        interval=Duration(interval),
        timeout=Duration(timeout),
        retry_interval=Duration(5),
        failure_threshold=1,
        success_threshold=1,
        expect=compile_all(expect, check.facts),
        degraded=compile_all(degraded, check.facts),
    )


S = TypeVar("S", bound=Sink)


def sink_of(cls: type[S], /, **options: Any) -> S:
    """Make the sink that a config with *options* would, as `check_of` makes a check."""
    return Fields(Texts({}, Masker(), Path())).table(cls, options)


def an_alert(kind: str = "firing") -> dict[str, Any]:
    """A `standard` document about an endpoint `shop`: *kind* is firing, reminder, resolved, flapping, self or test."""
    is_over = kind == "resolved"
    reason = Reason(Code.EXPECTATION, "processing", "expected status 200-299, got 503")
    about = kind not in ("self", "test")
    incident = Incident(
        id="incident-1",
        endpoint="shop",
        started_at=BEGIN - timedelta(minutes=5),
        reason=reason,
        resolved_at=BEGIN if is_over else None,
    )
    shop = {"name": "shop", "group": "web", "check": "http", "target": "https://shop.test/", "labels": {"team": "shop"}}
    body = render(
        f"alert.{kind}",
        ident="alert-1",
        now=BEGIN,
        reason=Reason(Code.OK) if is_over else reason,
        sequence=1 if about else None,
        endpoint=shop | {"description": None, "runbook": None, "url": None} if about else None,
        incident=incident if about else None,
        before=(State.UP if kind == "firing" else State.DOWN) if about else None,
        after=(State.UP if is_over else State.DOWN) if about else None,
        more={"flapping": {"flapping": True}, "self": {"trouble": True}}.get(kind),
    )
    document: dict[str, Any] = json.loads(body)
    return document


def tell(
    sink: Sink, server: Server | None = None, *, alert: str | Mapping[str, Any] = "firing", timeout: float = 10.0
) -> str | DeliveryError | None:
    """Send one alert through *sink*: what it returned, or the DeliveryError that came of it.

    Connections are answered as `look` answers them. *alert* is a kind of `an_alert`, or a document; *timeout* is
    for the whole try, in virtual seconds. What the sink raises beside DeliveryError passes. Not for a sink that
    works in threads, nor for use inside a running event loop.
    """
    document = an_alert(alert) if isinstance(alert, str) else alert
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()

    async def once() -> str | DeliveryError | None:
        async with trio.open_nursery() as servers:
            message = Message(
                id=str(document["data"]["id"]),
                body=body,
                document=document,
                attempt=1,
                now=BEGIN,
                net=MemoryNet(servers, server),
                clock=VirtualClock(),
                sink="test",
            )
            said: str | DeliveryError | None = DeliveryError(f"no answer within {seconds_text(timeout)}")
            with trio.move_on_after(timeout):
                try:
                    said = await sink.send(message)
                except DeliveryError as error:
                    said = error
            servers.cancel_scope.cancel()
        return said

    return _in_virtual_time(once)


def answers(status: int = 200, body: bytes = b"", headers: Sequence[tuple[str, str]] = ()) -> Server:
    """Make a server that reads the head of one HTTP request and answers it."""
    head = [f"HTTP/1.1 {status} Test", f"Content-Length: {len(body)}"]
    lines = head + [f"{name}: {value}" for name, value in headers]
    answer = "\r\n".join([*lines, "", ""]).encode("latin-1") + body

    async def serve(stream: trio.abc.Stream) -> None:
        request = b""
        while b"\r\n\r\n" not in request and (more := await stream.receive_some()):
            request += more
        await stream.send_all(answer)

    return serve
