"""`monitor validate`: read the config as the daemon would, and say what is in it, or every mistake."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from monitor.cli.options import config_file
from monitor.core.text import counted, printable

if TYPE_CHECKING:
    from pathlib import Path


@click.command("validate")
@config_file
def command(config: Path) -> None:
    """Read the config; print how many endpoints and sinks it has, or every mistake at once."""
    from monitor.config.load import load  # noqa: PLC0415

    loaded = load(config, environ=os.environ)
    endpoints = counted(len(loaded.endpoints), "endpoint")
    disabled = len(loaded.endpoints) - len(loaded.enabled)
    if disabled:
        endpoints += f" ({disabled} disabled)"
    click.echo(f"{printable(str(config))}: {endpoints}, {counted(len(loaded.sinks), 'sink')}")
    if loaded.enabled and not loaded.reference:
        click.echo(
            "note: [monitor] reference is not set, so when the monitor's own network fails, every endpoint goes down "
            "and alerts"
        )
