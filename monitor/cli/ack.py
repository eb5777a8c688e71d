"""`monitor ack`: say that an incident is known; its reminders stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from monitor.cli.client import Client, RefusedError, daemon_url
from monitor.cli.options import author, config_file
from monitor.core.errors import MonitorError
from monitor.core.text import printable

if TYPE_CHECKING:
    from pathlib import Path


@click.command("ack")
@click.argument("incident")
@click.option("--comment", metavar="TEXT", default="", help="What is done about it; for whoever sees it.")
@author
@daemon_url
@config_file
def command(config: Path, url: str | None, incident: str, comment: str, author: str) -> None:
    """Say that an open INCIDENT is known: no more reminders. INCIDENT is its id, or the name of its endpoint."""
    client = Client.of(config, url)
    asked = {"author": author, "comment": comment}
    try:
        known = _acknowledge(client, incident, asked)
    except RefusedError as exc:
        if exc.status != 404:
            raise
        known = _acknowledge(client, _open_incident_of(client, incident), asked)
    click.echo(printable(f"{known['endpoint']}: incident {known['id']} is acknowledged"))


def _acknowledge(client: Client, incident: str, asked: dict[str, str]) -> Any:
    return client.post(f"/api/v1/incidents/{quote(incident, safe='')}/ack", asked)


def _open_incident_of(client: Client, name: str) -> str:
    """The id of the open incident of the endpoint *name*. Raises MonitorError where there is none."""
    try:
        incident = client.get(f"/api/v1/endpoints/{quote(name, safe='')}", "incident")["incident"]
    except RefusedError as exc:
        raise MonitorError(f"there is neither an open incident {name!r} nor an endpoint of that name") from exc
    if incident is None:
        raise MonitorError(f"the endpoint {name!r} has no open incident")
    return str(incident["id"])
