"""`log`: one line per alert in the monitor's own log, for a start without a receiver and for the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import attrs

from monitor.api import Sink, check_option, seconds_text
from monitor.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.api import Message


@attrs.frozen(kw_only=True)
class Log(Sink):
    """Write each alert as a line to the log."""

    level: Literal["info", "warning", "error"] = check_option(default="warning", doc="level of the line")

    async def send(self, message: Message) -> None:
        """Write the line; never fails."""
        import logging  # noqa: PLC0415 - `validate` has no use for it, nor for the words below

        log = logging.getLogger("monitor.alerts")
        log.log(logging.getLevelNamesMapping()[self.level.upper()], "%s", line(message.document))


def line(document: Mapping[str, Any]) -> str:
    """The alert in one line: `alert.firing shop: expected status 200-299, got 503 (incident 7a…)`."""
    data = document["data"]
    endpoint, incident = data["endpoint"], data["incident"]
    text = f"{document['type']} {'monitor' if endpoint is None else endpoint['name']}: {_said(document)}"
    if incident is not None:
        text += f" (incident {incident['id']})"
    return printable(text)


def _said(document: Mapping[str, Any]) -> str:
    """The reason's sentence; a good one has none, then what there is to say is how long it lasted."""
    from monitor.sinks.formats.words import news  # noqa: PLC0415 - as above; it brings every format along

    data = document["data"]
    if "flapping" in data:
        return "changes its state too often to tell each time" if data["flapping"] else f"steady again, {data['to']}"
    incident = data["incident"]
    said = [data["reason"]["message"] or data["to"] or news([document]).text]
    if incident is not None and incident["resolved_at"] is not None:
        said.append(f"after {seconds_text(incident['duration'])}")
    return " ".join(said)
