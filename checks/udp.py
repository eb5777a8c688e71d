"""`udp`: send a datagram, and look at what comes back.

UDP says nothing by itself: a port at which somebody listens and keeps silent looks like one that a firewall hides.
What cannot be known is said to be unknown, unless the config says what silence means.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import attrs

from checks.connecting import IP_FACT, Reaching
from checks.options import hex_digits, host_of, port_of, udp_url
from monitor.api import Code, Duration, Fact, OptionError, Probe, Verdict, check_option, seconds_text

if TYPE_CHECKING:
    from monitor.api import Datagrams

_PATIENCE = 0.9  # of what the deadline leaves, so that silence is told in words of its own
_PHASE = "processing"
_NOBODY_KNOWS = (
    "nothing came back, which says nothing of UDP: the port may be open, or hidden; say what to `send`, or by `quiet` "
    "that silence is right"
)


@attrs.frozen(kw_only=True)
class Udp(Reaching):
    """Send a datagram; up when an answer comes, down when nobody listens there."""

    schemes: ClassVar[tuple[str, ...]] = ("udp",)
    own_task: ClassVar[bool] = False
    facts: ClassVar[Mapping[str, Fact] | None] = {
        "ip": IP_FACT,
        "answered": Fact(sample=True, doc="whether an answer came"),
        "text": Fact("pong", "the answer as text, absent where none came", keep=False),
        "hex": Fact("706f6e67", "the answer as hexadecimal digits in lower case", keep=False),
        "size": Fact(4, "its size in bytes"),
    }

    url: str = check_option(doc="host and port: udp://example.org:123", validator=udp_url)
    send: str | None = check_option(default=None, doc="text to send; default: an empty datagram")
    send_hex: str | None = check_option(default=None, doc="bytes to send, as hexadecimal digits", validator=hex_digits)
    quiet: Duration | None = check_option(
        default=None, doc="up when for so long nothing comes back, for what never answers"
    )

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.send is not None and self.send_hex is not None:
            raise OptionError("send_hex", "expected either send or send_hex, got both")

    def fits(self, timeout: float) -> None:
        """Silence must be told from a deadline that has passed."""
        if self.quiet is not None and self.quiet >= timeout:
            most = seconds_text(timeout)
            raise OptionError("quiet", f"expected less than the timeout, {most}, got {seconds_text(self.quiet)}")

    async def probe(self, probe: Probe) -> Verdict:
        """Send, and wait for an answer."""
        import trio  # noqa: PLC0415 - only who probes needs it

        datagrams = await probe.datagrams(host_of(self.url), port_of(self.url), addressing=self.addressing)
        probe.phase(_PHASE)
        probe.facts["answered"] = False
        await datagrams.send(self._payload)
        patience = probe.time_left() * _PATIENCE
        if self.quiet is not None:
            patience = min(patience, self.quiet)
        with trio.move_on_after(patience):
            await self._hear(probe, datagrams)
        if probe.facts["answered"] or self.quiet is not None:
            return Verdict.up()
        if self._payload:
            text = f"expected an answer, nothing came within {seconds_text(patience)}"
            return Verdict.down(text, code=Code.TIMEOUT, phase=_PHASE)
        return Verdict.unknown(_NOBODY_KNOWS, phase=_PHASE)

    async def _hear(self, probe: Probe, datagrams: Datagrams) -> None:
        data = await datagrams.receive()
        probe.facts |= {
            "answered": True,
            "text": data.decode("utf-8", "replace"),
            "hex": data.hex(),
            "size": len(data),
        }

    @cached_property
    def _payload(self) -> bytes:
        if self.send_hex is not None:
            return bytes.fromhex(self.send_hex)
        return (self.send or "").encode("utf-8")
