"""`monitor silence`: no alerts about a target for a while; which silences there are; the end of one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from monitor.cli.client import Client, daemon_url
from monitor.cli.options import author, config_file, duration
from monitor.core.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.core.quantities import Duration

_PATH = "/api/v1/silences"


@click.command("silence")
@click.argument("target", required=False)
@click.option("--for", "length", metavar="D", callback=duration, help="How long, from now on: 2h.")
@click.option("--comment", metavar="TEXT", default="", help="Why; for whoever sees it.")
@author
@click.option("--list", "listed", is_flag=True, help="Show the silences there are.")
@click.option("--past", is_flag=True, help="With --list: also those of the last 30 days.")
@click.option("--end", metavar="ID", help="End this silence now.")
@click.option("--format", "shape", type=click.Choice(["text", "json"]), default="text", help="Default: text.")
@daemon_url
@config_file
def command(
    config: Path,
    url: str | None,
    target: str | None,
    length: Duration | None,
    comment: str,
    author: str,
    listed: bool,
    past: bool,
    end: str | None,
    shape: str,
) -> None:
    """Send no alerts about TARGET for a while: an endpoint's name, group:NAME, or '*' for all.

    What is down when the silence ends is alerted about then. What was told before is resolved as usual.
    """
    _hold_usage(target, length, comment, listed=listed, past=past, end=end)
    client = Client.of(config, url)
    if listed:
        _show(client.get(f"{_PATH}?past=true" if past else _PATH, "silences")["silences"], shape, empty="no silences")
    elif end is not None:
        _show([client.delete(f"{_PATH}/{quote(end, safe='')}")], shape)
    else:
        asked = {"target": target, "duration": length, "author": author, "comment": comment}
        _show([client.post(_PATH, asked)], shape)


def _hold_usage(
    target: str | None, length: Duration | None, comment: str, *, listed: bool, past: bool, end: str | None
) -> None:
    """Exactly one of the three things that this command does."""
    if sum((target is not None, listed, end is not None)) != 1:
        raise click.UsageError("Expected a TARGET, or --list, or --end ID.")
    if target is None and (length is not None or comment):
        raise click.UsageError("--for and --comment go with a TARGET.")
    if target is not None and length is None:
        raise click.UsageError("Missing option '--for': how long, such as 2h.")
    if past and not listed:
        raise click.UsageError("--past goes with --list.")


def _show(silences: list[dict[str, Any]], shape: str, empty: str = "") -> None:
    if shape == "json":
        click.echo(json.dumps({"silences": silences}, indent=2))
        return
    if not silences:
        click.echo(empty)
        return
    from monitor.cli.render.options import table  # noqa: PLC0415

    head = ("ID", "TARGET", "UNTIL", "AUTHOR", "COMMENT")
    rows = [(each["id"], each["target"], _until(each), each["author"], each["comment"]) for each in silences]
    for line in table(head, rows):
        click.echo(printable(line))


def _until(silence: dict[str, Any]) -> str:
    """`2026-11-22 17:00:00 UTC`, and whether it is over."""
    moment = silence["ends_at"][:19].replace("T", " ") + " UTC"
    return moment if silence["active"] else f"{moment} (over)"
