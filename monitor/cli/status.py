"""`monitor status`: what a running daemon sees now."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from monitor.cli.client import Client, NoDaemonError, daemon_url
from monitor.cli.options import config_file, duration

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.cli.terminal import Terminal
    from monitor.core.quantities import Duration

_ENDPOINTS = "/api/v1/endpoints"


@click.command("status")
@config_file
@daemon_url
@click.option("--format", "form", type=click.Choice(("text", "json")), default="text", help="Default: text.")
@click.option("--watch", is_flag=True, help="Show it again and again, until Ctrl-C.")
@click.option("--every", metavar="D", default="2s", callback=duration, help="How often, with --watch; default: 2s.")
def command(config: Path, url: str | None, form: str, every: Duration, *, watch: bool) -> None:
    """Show what a running daemon sees now: every endpoint, the worst news first in words."""
    if watch and form == "json":
        raise click.UsageError("--watch is for people: it goes with --format text only.")
    from monitor.cli.terminal import Terminal  # noqa: PLC0415 - `--help` does without

    terminal = Terminal.of(sys.stdout, os.environ)
    if watch and not terminal.live:
        raise click.UsageError("--watch wants a terminal.")
    client = Client.of(config, url)
    if watch:
        _watch(client, terminal, every)
    elif form == "json":
        click.echo(json.dumps(client.get(_ENDPOINTS, "endpoints"), indent=2))
    else:
        click.echo("\n".join(_shown(client, terminal)))


def _shown(client: Client, terminal: Terminal, columns: int | None = None) -> list[str]:
    from monitor.cli.render import status  # noqa: PLC0415 - not needed for JSON

    endpoints = client.get(_ENDPOINTS, "endpoints")["endpoints"]
    return [terminal.line(spans, columns) for spans in status.lines(endpoints, datetime.now(UTC), terminal)]


def _watch(client: Client, terminal: Terminal, every: Duration) -> None:
    """Redraw in place, on the terminal's second screen, so that what was there before is there again afterwards."""
    seen = _shown(client, terminal)  # who asks the wrong way is told so at once
    sys.stdout.write("\x1b[?1049h\x1b[?25l")
    try:
        while True:
            columns, rows = terminal.size()
            try:
                seen = _shown(client, terminal, columns - 1)
                said = f"every {every}, Ctrl-C ends"
            except NoDaemonError as exc:  # it may come back: what was seen last stays on the screen
                said = f"as it was: {exc}"
            hidden = len(seen) - (rows - 2)
            shown = seen if hidden <= 0 else [*seen[: rows - 3], terminal.paint(f"  and {hidden + 1} more", "dim")]
            footer = terminal.line([(f"{datetime.now().astimezone():%H:%M:%S}  {said}", "dim")], columns - 1)
            sys.stdout.write("\x1b[H" + "".join(f"{line}\x1b[K\r\n" for line in [*shown, ""]) + footer + "\x1b[J")
            sys.stdout.flush()
            time.sleep(every)
    finally:
        sys.stdout.write("\x1b[?25h\x1b[?1049l")
        sys.stdout.flush()
