"""`tcp`: connect to a port, speak TLS there where told so, and talk a little."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, NoReturn

import attrs

from checks.connecting import CONNECTION_FACTS, Connecting
from checks.options import compiled_each, expression_over, host_of, port_of, tcp_url
from checks.starttls import PHASE, Protocol, agree
from monitor.api import (
    Code,
    Duration,
    Expectations,
    Expression,
    Fact,
    OptionError,
    Probe,
    ProbeError,
    Reason,
    Verdict,
    check_option,
    seconds_text,
)

if TYPE_CHECKING:
    from monitor.api import Stream

_MOST = 16 * 1024  # bytes that may come before an expectation is met
_STEP_FACTS = {"text": Fact("220 ready\r\n", "what has come since the step before, as text")}


@attrs.frozen(kw_only=True)
class TcpStep:
    """One step: send something, or wait for an answer."""

    send: str | None = check_option(default=None, doc='text to send; a line ends with "\\r\\n"')
    expect: Expression | None = check_option(
        default=None, doc="wait until this is true of what came", validator=expression_over(_STEP_FACTS)
    )
    within: Duration | None = check_option(default=None, doc="how long to wait; default: what the deadline leaves")

    def __attrs_post_init__(self) -> None:
        if (self.send is None) == (self.expect is None):
            raise ValueError("expected exactly one of send and expect")
        if self.within is not None and self.expect is None:
            raise ValueError("expected within only beside expect")


@attrs.frozen(kw_only=True)
class Tcp(Connecting):
    """Connect to a port; with TLS, STARTTLS and steps where told so."""

    schemes: ClassVar[tuple[str, ...]] = ("tcp",)
    facts: ClassVar[Mapping[str, Fact] | None] = {
        **CONNECTION_FACTS,
        "received": Fact("220 ready\r\n", "what the server sent, as text, at most 16 KiB of each answer", keep=False),
    }

    url: str = check_option(doc="host and port: tcp://example.org:22", validator=tcp_url)
    tls: bool = check_option(default=False, doc="speak TLS from the beginning")
    starttls: Protocol | None = check_option(default=None, doc="speak TLS once agreed upon in this protocol")
    steps: tuple[TcpStep, ...] = check_option(default=(), doc="what to send and what to wait for, in order")

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.tls and self.starttls is not None:
            raise OptionError("starttls", "expected either tls or starttls, got both")
        _ = self._expectations  # compiled now, and not at the first probe

    async def probe(self, probe: Probe) -> Verdict:
        """Connect, secure the connection, go through the steps."""
        host, port = host_of(self.url), port_of(self.url)
        stream = await probe.connect(host, port, tls=self.tls_setting if self.tls else None, addressing=self.addressing)
        if self.starttls is not None:
            probe.phase(PHASE)
            await agree(self.starttls, stream, host)
            await probe.start_tls(stream, host, tls=self.tls_setting)
        talk = _Talk(probe, stream)
        for step, expectations in zip(self.steps, self._expectations, strict=True):
            if step.send is not None:
                await talk.send(step.send)
            else:
                await talk.expect(step, expectations)
        if not self.steps and probe.mentions("received"):
            await talk.listen()
        return self.verdict(probe)

    @cached_property
    def _expectations(self) -> tuple[Expectations, ...]:
        """One for each step, empty where the step expects nothing."""
        return compiled_each([step.expect for step in self.steps], _STEP_FACTS)


class _Talk:
    """The steps of one probe."""

    def __init__(self, probe: Probe, stream: Stream) -> None:
        self._probe = probe
        self._stream = stream
        self._waiting = b""  # what came since the last step that was met

    async def send(self, text: str) -> None:
        self._probe.phase("processing")
        await self._stream.send_all(text.encode("utf-8"))

    async def expect(self, step: TcpStep, expectations: Expectations) -> None:
        import trio  # noqa: PLC0415 - only who probes needs it

        with trio.move_on_after(step.within or float("inf")):
            while not self._waiting or expectations.first_false({"text": _text(self._waiting)}) is not None:
                await self._receive(f" before {step.expect} was met")
            self._waiting = b""
            return
        came = f"{_text(self._waiting)[:100]!r} came" if self._waiting else "nothing came"
        self._fail(Code.TIMEOUT, f"expected {step.expect} within {seconds_text(step.within or 0)}, {came}")

    async def listen(self) -> None:
        """Wait for the first word."""
        await self._receive(" without a word")

    async def _receive(self, until: str) -> None:
        self._probe.phase("transfer")
        data = await self._stream.receive_some()
        if not data:
            self._fail(Code.PROTOCOL, f"the server closed the connection{until}")
        self._waiting += data
        if len(self._waiting) > _MOST:
            self._fail(Code.LIMIT, f"more than {_MOST >> 10} KiB came{until}")
        self._probe.facts["received"] = _text(self._waiting)

    def _fail(self, code: Code, message: str) -> NoReturn:
        raise ProbeError(Reason(code, self._probe.current_phase, message))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
