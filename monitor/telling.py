"""What a sink sees: the class to derive from, and what the engine hands to it. Plugins import it by `monitor.api`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from monitor.probe import Probe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import httpx

    from monitor.core.ports import Clock
    from monitor.net import TLS, Net


@attrs.frozen(kw_only=True)
class Manner:
    """How the engine gives alerts to a sink; one at a time, and as they come, unless it says otherwise.

    *groups*: alerts of many endpoints may go in one message, once the first of them has waited for `group_wait`.
    *merges*: a `resolved` whose `firing` still waits goes in the same message. *per_minute*: messages, where the
    config does not say. *resend*: seconds after which it is told again of what fires, for a receiver that forgets.
    """

    groups: bool = False
    merges: bool = False
    per_minute: int | None = None
    resend: float | None = None


class Sink:
    """A place alerts go to. Derive an attrs class; its fields are the config keys, declared by `check_option`."""

    @property
    def manner(self) -> Manner:
        """How it wants its alerts; the same for as long as its options are."""
        return Manner()

    async def send(self, message: Message) -> str | None:
        """Deliver *message*, or raise DeliveryError; may return what the receiver said, in a word: `HTTP 204`.

        The caller owns the deadline (10 s) and the retries; the text of an error must not hold a secret or URL.
        """
        raise NotImplementedError


@attrs.frozen(kw_only=True)
class Message:
    """An alert on its way to a sink, or several where its `manner` allows that.

    *body* is the frozen `standard` document as JSON bytes, *document* the same parsed; *documents* are all of them,
    oldest first, and *document* is the last. *id* is the alert's; that of several is their own, and stays the same,
    as what goes together does. *attempt* counts from 1. *sink* is the name in the config.
    """

    id: str
    body: bytes
    document: Mapping[str, Any]
    attempt: int
    now: datetime
    net: Net
    clock: Clock
    sink: str = ""
    documents: Sequence[Mapping[str, Any]] = attrs.Factory(lambda self: (self.document,), takes_self=True)

    def transport(self, *, tls: TLS | None = None, body_limit: int = 64 * 1024) -> httpx.AsyncBaseTransport:
        """Give an httpx transport as `Probe.transport` does."""
        return Probe(net=self.net, clock=self.clock).transport(tls=tls, body_limit=body_limit)
