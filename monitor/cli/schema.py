"""`monitor schema`: the JSON Schema of the config, for editors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from monitor.cli.checks import registry_for
from monitor.cli.options import config_file

if TYPE_CHECKING:
    from pathlib import Path


@click.command("schema")
@config_file
def command(config: Path) -> None:
    """Print the JSON Schema of the config, with the options of every check and sink, installed or local.

    An editor that knows TOML takes it: write it to a file, and name that in the first line of the config,
    "#:schema ./monitor.schema.json".
    """
    from monitor.config.jsonschema import schema_of  # noqa: PLC0415

    registry = registry_for(config)
    click.echo(json.dumps(schema_of(registry.checks, registry.sinks), indent=1, ensure_ascii=False))
