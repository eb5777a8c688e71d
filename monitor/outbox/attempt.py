"""One try: a message to a sink, under one deadline, in a nursery of its own. The boundary for a sink's bugs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs
import trio

from monitor.core.errors import DeliveryError, describe, typed
from monitor.core.quantities import seconds_text

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from monitor.config import SinkSettings
    from monitor.telling import Message


@attrs.frozen
class Delivered:
    """The sink took it; *said* is what the receiver answered, where the sink tells."""

    said: str | None = None


async def attempt(
    settings: SinkSettings, messages: Sequence[Message], *, timeout: float, log: logging.Logger
) -> Delivered | DeliveryError:
    """Send *messages*, one after the other, within *timeout* seconds: Delivered when all were, else why not.

    A sink that returned has delivered, even where the deadline or a shutdown came in the same moment. Raises what is
    no Exception, and nothing else.
    """
    answer: Delivered | None = None
    no_answer = DeliveryError(f"no answer within {seconds_text(timeout)}")

    async def contained() -> None:  # a task of its own: what a sink corrupts dies with it
        nonlocal answer
        said = None
        for message in messages:
            said = await settings.sink.send(message)
        answer = Delivered(said if isinstance(said, str) else None)

    try:
        with trio.move_on_after(timeout) as deadline:
            async with trio.open_nursery() as own:
                own.start_soon(contained)
    except BaseExceptionGroup as group:
        cancelled, _ = group.split(trio.Cancelled)
        if cancelled is not None:
            raise cancelled from None  # ours: we are stopping
        bug = _alone(group)
        if not isinstance(bug, Exception):
            raise
        return no_answer if deadline.cancel_called else _refused(settings, bug, log)
    return answer or no_answer


def _refused(settings: SinkSettings, exc: Exception, log: logging.Logger) -> DeliveryError:
    """What a sink raised: its own word, or a bug of it, which counts as a failure of the network."""
    if isinstance(exc, DeliveryError):
        # Its parts are the sink's own, and all that follows relies on them.
        status = exc.status if type(exc.status) is int else None
        asked = exc.retry_after
        retry_after = float(asked) if isinstance(asked, int | float) and math.isfinite(asked) else None
        return DeliveryError(describe(exc), status=status, retry_after=retry_after, final=exc.final is True)
    log.error("sink %s crashed", settings.name, exc_info=exc)
    return DeliveryError(f"the sink crashed: {typed(exc)}")


def _alone(exc: BaseException) -> BaseException:
    """What a group of one holds, however deep: nurseries wrap whatever passes through them."""
    while isinstance(exc, BaseExceptionGroup) and len(exc.exceptions) == 1:
        exc = exc.exceptions[0]
    return exc
