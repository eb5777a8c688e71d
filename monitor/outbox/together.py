"""What goes out in one message."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from monitor.telling import Message

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from monitor.core.model import Delivery
    from monitor.core.ports import Clock
    from monitor.net import Net

MOST_TOGETHER = 100  # alerts in one digest
MOST_BEHIND = 50  # alerts of one incident that a message may tell as one story


def story(head: Delivery, behind: Sequence[Delivery]) -> tuple[Delivery, ...]:
    """*head*, and if it is a `firing` whose `resolved` waits *behind* it, all of that incident up to there."""
    if head.type != "alert.firing":
        return (head,)
    incident = _incident(head)
    told = [head]
    for each in behind:
        if each.digest is not None or _incident(each) != incident:
            break
        told.append(each)
        if each.type == "alert.resolved":
            return tuple(told)
    return (head,)


def _incident(delivery: Delivery) -> object:
    try:
        return json.loads(delivery.body)["data"]["incident"]["id"]
    except (ValueError, LookupError, TypeError):
        return None


def messages(
    deliveries: Sequence[Delivery], *, name: str | None, sink: str, now: datetime, net: Net, clock: Clock
) -> list[Message]:
    """The one message *name* that tells all of *deliveries*, or, without a name, one for each."""
    together = [deliveries] if name is not None else [[each] for each in deliveries]
    return [_message(each, name, {"sink": sink, "now": now, "net": net, "clock": clock}) for each in together]


def _message(deliveries: Sequence[Delivery], name: str | None, given: dict[str, Any]) -> Message:
    documents = tuple(json.loads(each.body) for each in deliveries)
    last = deliveries[-1]
    return Message(
        id=name or last.alert,
        body=last.body,
        document=documents[-1],
        documents=documents,
        attempt=last.attempts + 1,
        **given,
    )
