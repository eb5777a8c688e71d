"""`websocket`: connect, talk as the steps say, close; or hold the connection, and ask on it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal
from urllib.parse import unquote, urlsplit

import attrs

from checks.auth import USER_AGENT, basic
from checks.connecting import CONNECTION_FACTS, Proxied
from checks.options import compiled_each, headers, subprotocols, websocket_url
from checks.websocket_steps import STEP_FACTS, Step
from monitor.api import (
    Duration,
    Expectations,
    Fact,
    Metric,
    OptionError,
    Probe,
    Verdict,
    check_option,
    named_secrets,
)

if TYPE_CHECKING:
    from trio import TaskStatus

    from checks.conversation import Handshake
    from checks.holding import HeldConnection
    from monitor.api import Companion, Stream

_PORTS = {"ws": 80, "wss": 443}
_OF_HOLD = ("ping_interval", "max_silence", "min_lifetime")


def _percentile(percent: int) -> Fact:
    text = f"what {percent} of a hundred pings took at most, of the connection's last hundred"
    metric = Metric(f"probe_websocket_ping_rtt_p{percent}_seconds", f"What {percent} of a hundred pings took at most.")
    return Fact(timedelta(milliseconds=20), text, metrics=(metric,))


@attrs.frozen(kw_only=True)
class WebSocket(Proxied):
    """Connect, go through the steps and close cleanly; without steps, ping once."""

    schemes: ClassVar[tuple[str, ...]] = ("ws", "wss")
    own_task: ClassVar[bool] = False
    facts: ClassVar[Mapping[str, Fact] | None] = {
        "subprotocol": Fact("v1.json", "the subprotocol the server chose, absent if none"),
        "headers": Fact({"server": "example"}, "headers of the handshake, names in lower case"),
        "ping_rtt": Fact(
            timedelta(milliseconds=20),
            "from the last ping to its pong",
            metrics=(Metric("probe_websocket_ping_rtt_seconds", "From the last ping to its pong."),),
        ),
        **{f"ping_rtt_p{percent}": _percentile(percent) for percent in (50, 95, 99)},
        "close_code": Fact(1000, "the close code the server sent"),
        "close_latency": Fact(
            timedelta(milliseconds=20),
            "from our close to the server's",
            metrics=(Metric("probe_websocket_close_latency_seconds", "From our close to the server's."),),
        ),
        "messages": Fact(
            1,
            "how many messages came on this connection",
            metrics=(Metric("probe_websocket_messages", "Messages that came on this connection."),),
        ),
        "connected_for": Fact(
            timedelta(minutes=5),
            "how long the connection has been held",
            metrics=(Metric("probe_websocket_connected_seconds", "How long the connection has been held."),),
        ),
        "silence": Fact(
            timedelta(seconds=1),
            "since the last message on a connection that is held, or since its begin",
            metrics=(Metric("probe_websocket_silence_seconds", "Since the last message on the connection."),),
        ),
        "connections": Fact(
            1,
            "how many were made since the endpoint is watched, with those that were lost",
            metrics=(Metric("probe_websocket_connections", "Connections made since the endpoint is watched."),),
        ),
        **CONNECTION_FACTS,
    }

    url: str = check_option(doc="the URL, ws or wss", validator=websocket_url)
    headers: dict[str, str] = check_option(factory=dict, doc="headers to send", validator=headers, secret=named_secrets)
    subprotocols: tuple[str, ...] = check_option(default=(), doc="subprotocols to offer", validator=subprotocols)
    steps: tuple[Step, ...] = check_option(default=(), doc="what to send and what to wait for, in order")
    mode: Literal["visit", "hold"] = check_option(default="visit", doc="connect each time, or stay connected")
    ping_interval: Duration | None = check_option(
        default=None, doc="mode hold: ping where no probe has for so long; default: 15s"
    )
    max_silence: Duration | None = check_option(default=None, doc="mode hold: longest time without a message")
    min_lifetime: Duration | None = check_option(
        default=None, doc="mode hold: a drop after so long is no failure; default: every one is"
    )

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.mode != "hold":
            for name in _OF_HOLD:
                if getattr(self, name) is not None:
                    raise OptionError(name, f'expected {name} only beside mode = "hold"')
        _ = self._expectations  # compiled now, and not at the first probe

    @property
    def stays(self) -> bool:
        """A connection that is held does."""
        return self.mode == "hold"

    async def probe(self, probe: Probe) -> Verdict:
        """Ask on the connection that is held; visit where none is, or nobody would be there to hold it."""
        if self.mode == "hold" and probe.companion is not None:
            return await self._ask(probe, probe.companion)
        from checks.conversation import Conversation  # noqa: PLC0415 - it costs Trio, which only who probes needs
        from checks.wire import WatchedStream  # noqa: PLC0415 - as above

        stream = WatchedStream(await self._connect(probe))
        conversation = Conversation(probe, stream, self.steps, self._expectations)
        began, is_held = probe.monotonic(), self.mode == "hold"
        await conversation.visit(self._handshake, ask=is_held)
        if is_held:  # what `expect` may mention is there, as after the first probe of a daemon
            lasted = timedelta(seconds=probe.monotonic() - began)
            probe.facts.update(connected_for=lasted, silence=lasted, connections=1)
        return self.verdict(probe)

    async def _connect(self, probe: Probe) -> Stream:
        return await probe.connect(
            self._handshake.hostname,
            self._handshake.port,
            tls=self.tls_setting if self._is_encrypted else None,
            addressing=self.addressing,
        )

    async def _ask(self, probe: Probe, companion: Companion) -> Verdict:
        from checks.holding import HeldConnection, note_end  # noqa: PLC0415 - as above

        async def stay(*, task_status: TaskStatus[HeldConnection]) -> None:
            connection = HeldConnection(
                probe,
                companion,
                await self._connect(probe),
                self.steps,
                self._expectations,
                ping_interval=self.ping_interval,
                max_silence=self.max_silence,
                min_lifetime=self.min_lifetime,
            )
            await connection.stay(self._handshake, task_status=task_status)

        was_here = companion.is_here
        try:
            connection: HeldConnection = await probe.keep(stay)
            if was_here:  # else it has just answered a ping
                connection.note(probe)
                probe.phase("dialogue")
                while not await companion.while_it_stays(connection.ask):
                    connection = await probe.keep(stay)
        finally:
            note_end(probe, companion)
        connection.note(probe)
        return connection.complaint() or self.verdict(probe)

    @cached_property
    def _expectations(self) -> tuple[Expectations, ...]:
        """One for each step, empty where the step expects nothing."""
        return compiled_each([step.expect for step in self.steps], STEP_FACTS)

    @property
    def _alpn(self) -> tuple[str, ...]:
        return ("http/1.1",)

    @cached_property
    def _is_encrypted(self) -> bool:
        return urlsplit(self.url).scheme == "wss"

    @cached_property
    def _handshake(self) -> Handshake:
        """What is asked for, the same at every probe."""
        import httpx  # noqa: PLC0415 - its URL knows IDNA and percent-encoding; only who probes needs it

        from checks.conversation import Handshake  # noqa: PLC0415

        url, parts = httpx.URL(self.url), urlsplit(self.url)
        hostname, port = url.raw_host.decode("ascii"), url.port or _PORTS[parts.scheme]
        wanted = {"User-Agent": USER_AGENT}
        if parts.username is not None:
            wanted["Authorization"] = basic(unquote(parts.username), unquote(parts.password or ""))
        own = {name.lower(): value for name, value in self.headers.items()}
        extra = {name: value for name, value in wanted.items() if name.lower() not in own} | self.headers
        return Handshake(
            hostname=hostname,
            port=port,
            host=own.get("host") or url.netloc.decode("ascii"),
            resource=url.raw_path.decode("ascii"),
            subprotocols=self.subprotocols,
            headers=[
                (name.encode("ascii"), value.encode("utf-8")) for name, value in extra.items() if name.lower() != "host"
            ],
        )
