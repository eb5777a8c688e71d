"""`monitor test-alert`: one `alert.test` through a sink, now, without a daemon or a database."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import attrs

from monitor.core.alerting.render import render
from monitor.core.delivery import TRY_TIMEOUT
from monitor.core.errors import DeliveryError
from monitor.core.model import OK
from monitor.net.sockets import SocketNet
from monitor.outbox.attempt import attempt
from monitor.system import SystemClock, SystemRand
from monitor.telling import Message

if TYPE_CHECKING:
    from monitor.config import SinkSettings

log = logging.getLogger(__name__)
log.propagate = False  # a sink that crashes is told in one sentence
log.addHandler(logging.NullHandler())


@attrs.frozen
class Tried:
    """How a sink took the test alert: *said* is its answer, or why it failed; *seconds* how long it took."""

    sink: str
    delivered: bool
    said: str
    seconds: float


async def send(settings: SinkSettings) -> Tried:
    """Send a test alert through the sink, once, as the outbox would."""
    clock, ident = SystemClock(), SystemRand().id()
    now, began = clock.wall(), clock.monotonic()
    body = render("alert.test", ident=ident, now=now, reason=OK)
    message = Message(
        id=ident,
        body=body,
        document=json.loads(body),
        attempt=1,
        now=now,
        net=SocketNet(),
        clock=clock,
        sink=settings.name,
    )
    answer = await attempt(settings, [message], timeout=TRY_TIMEOUT, log=log)
    seconds = clock.monotonic() - began
    if isinstance(answer, DeliveryError):
        return Tried(settings.name, delivered=False, said=str(answer), seconds=seconds)
    return Tried(settings.name, delivered=True, said=answer.said or "delivered", seconds=seconds)
