"""`websocket`: connect, talk as the steps say, close."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal
from urllib.parse import unquote, urlsplit

import attrs

from checks import metrics
from checks.http import USER_AGENT, Auth, Basic
from checks.options import address, headers, min_tls, server_name, subprotocols, websocket_url
from checks.steps import STEP_FACTS, Step
from monitor.api import (
    TLS,
    Check,
    Duration,
    ExpectationError,
    Expectations,
    Fact,
    Lifetime,
    OptionError,
    Probe,
    Verdict,
    certificates_file,
    check_option,
    compile_all,
)

if TYPE_CHECKING:
    from checks.conversation import Handshake

_PORTS = {"ws": 80, "wss": 443}


@attrs.frozen(kw_only=True)
class WebSocket(Check):
    """Connect, go through the steps and close cleanly; without steps, ping once."""

    schemes: ClassVar[tuple[str, ...]] = ("ws", "wss")
    facts: ClassVar[Mapping[str, Fact] | None] = {
        "subprotocol": Fact("v1.json", "the subprotocol the server chose, absent if none"),
        "headers": Fact({"server": "example"}, "headers of the handshake, names in lower case"),
        "ping_rtt": Fact(timedelta(milliseconds=20), "from the last ping to its pong"),
        "close_code": Fact(1000, "the close code the server sent"),
        "close_latency": Fact(timedelta(milliseconds=20), "from our close to the server's"),
        "messages": Fact(1, "how many messages came"),
        "ip": Fact("192.0.2.7", "address that was connected to", metrics=metrics.IP),
        "tls_version": Fact("1.3", "TLS version, absent on plain ws", metrics=metrics.TLS_VERSION),
        "cert_expires_in": Fact(
            timedelta(days=30), "until the certificate expires, absent on plain ws", metrics=metrics.CERT_EXPIRES_IN
        ),
        "cert_issuer": Fact("Example CA", "who issued the certificate, absent on plain ws"),
    }

    url: str = check_option(doc="the URL, ws or wss", validator=websocket_url)
    headers: dict[str, str] = check_option(factory=dict, doc="headers to send", validator=headers)
    subprotocols: tuple[str, ...] = check_option(default=(), doc="subprotocols to offer", validator=subprotocols)
    steps: tuple[Step, ...] = check_option(default=(), doc="what to send and what to wait for, in order")
    verify: bool = check_option(default=True, doc="verify the server's certificate")
    ca_file: Path | None = check_option(default=None, doc="trusted authorities, PEM", validator=certificates_file)
    client_cert: Path | None = check_option(default=None, doc="client certificate, PEM", available=False)
    client_key: Path | None = check_option(default=None, doc="its key, PEM", available=False)
    server_name: str | None = check_option(default=None, doc="name for SNI and the certificate", validator=server_name)
    min_tls: Literal["1.2", "1.3"] | None = check_option(default=None, doc="lowest TLS version", validator=min_tls)
    ip_version: Literal[4, 6] | None = check_option(default=None, doc="only IPv4 or IPv6", available=False)
    address: str | None = check_option(default=None, doc="connect there, keep Host and SNI", validator=address)
    mode: Literal["visit", "hold"] = check_option(default="visit", doc="connect each time, or stay connected")
    dns_ttl: Lifetime = check_option(default=Lifetime(0), doc="how long a look-up may be kept; 0s: looked up each time")
    ping_interval: Duration | None = check_option(default=None, doc="pings of mode hold", available=False)
    max_silence: Duration | None = check_option(default=None, doc="longest silence in mode hold", available=False)

    def __attrs_post_init__(self) -> None:
        if self.mode != "visit":
            raise OptionError("mode", "not available yet")
        _ = self._expectations  # compiled now, so that a mistake is the config's

    async def probe(self, probe: Probe) -> Verdict:
        """Connect, shake hands, go through the steps, close."""
        from checks.conversation import Conversation  # noqa: PLC0415 - it costs Trio, which only who probes needs

        handshake = self._handshake
        stream = await probe.connect(
            handshake.hostname, handshake.port, tls=self._tls, address=self.address, dns_ttl=self.dns_ttl
        )
        conversation = Conversation(probe, stream, self.steps, self._expectations)
        await conversation.hold(handshake)
        return Verdict.up()

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
    def _tls(self) -> TLS | None:
        if urlsplit(self.url).scheme == "ws":
            return None
        return TLS(verify=self.verify, ca_file=self.ca_file, min_tls=self.min_tls, server_name=self.server_name)

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
