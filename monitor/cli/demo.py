"""`monitor demo`: the newcomer's tour."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from monitor.cli.options import config_file, duration

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.core.quantities import Duration


@click.command("demo")
@config_file
@click.option("--duration", "length", metavar="D", callback=duration, help="End after this time, such as 60s.")
def command(config: Path, length: Duration | None) -> None:  # noqa: ARG001 - accepted everywhere, read nowhere here
    """Take a tour: two services fail and recover on loopback, and a webhook receiver prints the alerts.

    It needs neither a config nor the internet, and leaves nothing behind.
    """
    from monitor import demo  # noqa: PLC0415 - trio and all the rest

    demo.run(duration=length, say=_say)


def _say(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()
