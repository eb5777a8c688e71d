"""`icmp`: ping a host."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

import attrs

from checks.connecting import IP_FACT, Reaching
from checks.options import between, host_of, icmp_url
from monitor.api import Code, Fact, Metric, Probe, ProbeError, Verdict, check_option, seconds_text

if TYPE_CHECKING:
    from monitor.api import Echoes

_PATIENCE = 0.9  # of what the deadline leaves, so that silence is told in words of its own
_PHASE = "rtt"
_RTT = timedelta(milliseconds=12)


@attrs.frozen(kw_only=True)
class Icmp(Reaching):
    """Ping a host; up when an echo comes back."""

    schemes: ClassVar[tuple[str, ...]] = ("icmp", "ping")
    own_task: ClassVar[bool] = False
    phases_metric: ClassVar[str] = "probe_icmp_duration_seconds"
    facts: ClassVar[Mapping[str, Fact] | None] = {
        "ip": IP_FACT,
        "sent": Fact(3, "how many echo requests were sent"),
        "received": Fact(3, "how many of them were answered"),
        "loss": Fact(0.0, "the share that was not answered, 0.0 to 1.0"),
        "rtt": Fact(_RTT, "time to the reply, the median"),
        "rtt_min": Fact(_RTT, "the shortest"),
        "rtt_max": Fact(_RTT, "the longest"),
        "duplicates": Fact(0, "how many replies came more than once"),
        "hops": Fact(
            64,
            "how many hops more a reply could have gone, where the system says so",
            metrics=(Metric("probe_icmp_reply_hop_limit", "Hop limit (TTL) of the last echo reply."),),
        ),
    }

    url: str = check_option(doc="whom to ping: icmp://example.org", validator=icmp_url)
    count: int = check_option(
        default=3, doc="how many echo requests to send, one after another", validator=between(1, 100)
    )
    size: int = check_option(default=56, doc="bytes that each carries", validator=between(16, 65000))

    async def probe(self, probe: Probe) -> Verdict:
        """Send one request after another, each once the one before was answered or given up."""
        import trio  # noqa: PLC0415 - only who probes needs it

        echoes = await probe.echoes(host_of(self.url), size=self.size, addressing=self.addressing)
        probe.phase(_PHASE)
        tally = _Tally(probe, echoes)
        refusal: ProbeError | None = None
        began = probe.monotonic()
        for sequence in range(self.count):
            try:
                with trio.move_on_after(probe.time_left() * _PATIENCE / (self.count - sequence)):
                    await tally.ask(sequence)
            except ProbeError as exc:  # a router says that there is no way; the next may find one
                if exc.reason.code is Code.INTERNAL:
                    raise
                refusal = refusal or exc
        tally.note()
        if tally.round_trips:
            return Verdict.up()
        if refusal is not None:
            raise refusal
        requests = "an echo request" if self.count == 1 else f"{self.count} echo requests"
        text = f"no reply to {requests} within {seconds_text(probe.monotonic() - began)} ({echoes.ip})"
        return Verdict.down(text, code=Code.TIMEOUT, phase=_PHASE)


class _Tally:
    """What was sent and what came back."""

    def __init__(self, probe: Probe, echoes: Echoes) -> None:
        self._probe = probe
        self._echoes = echoes
        self._sent: dict[int, float] = {}  # when, by sequence
        self._duplicates = 0
        self.round_trips: dict[int, float] = {}

    async def ask(self, sequence: int) -> None:
        """Send request *sequence* and wait for its reply; replies to earlier ones count, too."""
        self._sent[sequence] = self._probe.monotonic()
        await self._echoes.send(sequence)
        while sequence not in self.round_trips:
            echo = await self._echoes.receive()
            if echo.sequence in self.round_trips:
                self._duplicates += 1
            elif echo.sequence in self._sent:
                self.round_trips[echo.sequence] = self._probe.monotonic() - self._sent[echo.sequence]
                if echo.hops is not None:
                    self._probe.facts["hops"] = echo.hops

    def note(self) -> None:
        sent, took = len(self._sent), sorted(self.round_trips.values())
        self._probe.facts |= {
            "sent": sent,
            "received": len(took),
            "loss": 1 - len(took) / sent,
            "duplicates": self._duplicates,
        }
        if took:
            for name, seconds in (("rtt", took[len(took) // 2]), ("rtt_min", took[0]), ("rtt_max", took[-1])):
                self._probe.facts[name] = timedelta(seconds=seconds)
