"""`monitor backtest`: which alerts another config would have sent, beside those that were."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli.options import config_file, duration

if TYPE_CHECKING:
    from monitor.core.quantities import Duration


@click.command("backtest")
@config_file
@click.option(
    "--database",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="What was recorded: a database or its directory; default: that of the config.",
)
@click.option(
    "--since", metavar="D", default="30d", callback=duration, help="How far to look back, such as 12h; default: 30d."
)
@click.option("--format", "form", type=click.Choice(("text", "json")), default="text", help="Default: text.")
def command(config: Path, database: Path | None, since: Duration, form: str) -> None:
    """Replay what was recorded with another config: the alerts it would have sent, beside those that were.

    Thresholds, alert_on, reminders, flapping, routes, maintenance and depends_on are those of the config given. The
    database is only read; a daemon may go on writing it.
    """
    from monitor.config.load import load  # noqa: PLC0415

    loaded = load(config, environ=os.environ)
    from monitor.backtest import backtest  # noqa: PLC0415 - a mistake in the config is told before trio is loaded

    logging.disable()  # what the recorder says happens now, happened then
    now = datetime.now(UTC)
    comparison = backtest(loaded, database or loaded.data_dir, since=now - timedelta(seconds=since), now=now)
    if form == "json":
        click.echo(json.dumps(comparison.to_json(), indent=2))
        return
    from monitor.cli.render import backtest as render  # noqa: PLC0415 - not needed for JSON
    from monitor.cli.terminal import Terminal  # noqa: PLC0415

    terminal = Terminal.of(sys.stdout, os.environ)
    for spans in render.lines(comparison, asked=now - timedelta(seconds=since)):
        click.echo(terminal.line(spans))
