"""`websocket`: connect, talk as the steps say, close."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal
from urllib.parse import unquote, urlsplit

import attrs

from checks.auth import USER_AGENT, Auth, Basic
from checks.connecting import CONNECTION_FACTS, Proxied
from checks.options import headers, subprotocols, websocket_url
from checks.steps import STEP_FACTS, Step
from monitor.api import (
    Duration,
    ExpectationError,
    Expectations,
    Fact,
    OptionError,
    Probe,
    Verdict,
    check_option,
    compile_all,
)

if TYPE_CHECKING:
    from checks.conversation import Handshake

_PORTS = {"ws": 80, "wss": 443}


@attrs.frozen(kw_only=True)
class WebSocket(Proxied):
    """Connect, go through the steps and close cleanly; without steps, ping once."""

    schemes: ClassVar[tuple[str, ...]] = ("ws", "wss")
    facts: ClassVar[Mapping[str, Fact] | None] = {
        "subprotocol": Fact("v1.json", "the subprotocol the server chose, absent if none"),
        "headers": Fact({"server": "example"}, "headers of the handshake, names in lower case"),
        "ping_rtt": Fact(timedelta(milliseconds=20), "from the last ping to its pong"),
        "close_code": Fact(1000, "the close code the server sent"),
        "close_latency": Fact(timedelta(milliseconds=20), "from our close to the server's"),
        "messages": Fact(1, "how many messages came"),
        **CONNECTION_FACTS,
    }

    url: str = check_option(doc="the URL, ws or wss", validator=websocket_url)
    headers: dict[str, str] = check_option(factory=dict, doc="headers to send", validator=headers)
    subprotocols: tuple[str, ...] = check_option(default=(), doc="subprotocols to offer", validator=subprotocols)
    steps: tuple[Step, ...] = check_option(default=(), doc="what to send and what to wait for, in order")
    mode: Literal["visit", "hold"] = check_option(default="visit", doc="connect each time, or stay connected")
    ping_interval: Duration | None = check_option(default=None, doc="pings of mode hold", available=False)
    max_silence: Duration | None = check_option(default=None, doc="longest silence in mode hold", available=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.mode != "visit":
            raise OptionError("mode", "not available yet")
        _ = self._expectations  # compiled now, so that a mistake is the config's

    async def probe(self, probe: Probe) -> Verdict:
        """Connect, shake hands, go through the steps, close."""
        from checks.conversation import Conversation  # noqa: PLC0415 - it costs Trio, which only who probes needs

        handshake = self._handshake
        stream = await probe.connect(
            handshake.hostname,
            handshake.port,
            tls=self.tls_setting if self._is_encrypted else None,
            addressing=self.addressing,
        )
        conversation = Conversation(probe, stream, self.steps, self._expectations)
        await conversation.hold(handshake)
        return self.verdict(probe)

    @cached_property
    def _expectations(self) -> tuple[Expectations, ...]:
        """One for each step, empty where the step expects nothing."""
        compiled = []
        for index, step in enumerate(self.steps):
            try:
                compiled.append(compile_all(() if step.expect is None else (step.expect,), STEP_FACTS))
            except ExpectationError as exc:
                raise OptionError(f"steps[{index}].expect", str(exc)) from exc
        return tuple(compiled)

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
            basic = Basic(username=unquote(parts.username), password=unquote(parts.password or ""))
            wanted["Authorization"] = Auth(basic=basic).header
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
