"""`monitor checks`: which checks there are, and what one of them can be told and finds out."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from monitor.cli.options import config_file
from monitor.core.errors import MonitorError, PluginError
from monitor.core.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.cli.terminal import Terminal
    from monitor.plugin import Check
    from monitor.plugins import Plugin, Registry


@click.command("checks")
@click.argument("kind", required=False)
@config_file
def command(config: Path, kind: str | None) -> None:
    """List the installed checks and where each comes from; or show the options and facts of one KIND."""
    from monitor.cli.terminal import Terminal  # noqa: PLC0415

    terminal = Terminal.of(sys.stdout, os.environ)
    registry = registry_for(config)
    if kind is None:
        _list(registry, terminal)
    else:
        _show(_known(registry, kind), terminal)


def registry_for(path: Path) -> Registry:
    """What is installed, and the local checks of the config, where there is one; other mistakes in it are no matter."""
    from monitor.config.load import registry_of  # noqa: PLC0415
    from monitor.plugins import Registry  # noqa: PLC0415

    asked_for = click.get_current_context().get_parameter_source("config")
    if not path.exists() and asked_for is click.core.ParameterSource.DEFAULT:
        return Registry()
    return registry_of(path, environ=os.environ)


def _known(registry: Registry, kind: str) -> Plugin[Check]:
    from monitor.core.hints import did_you_mean  # noqa: PLC0415

    if kind not in registry.checks:
        raise MonitorError(f"there is no check {kind!r}{did_you_mean(kind, registry.checks)}")
    return registry.checks[kind]


def _list(registry: Registry, terminal: Terminal) -> None:
    from monitor.cli.render.options import first_line, table  # noqa: PLC0415

    rows = []
    for plugin in registry.checks.values():
        try:
            what = first_line(plugin.cls)
        except PluginError as exc:
            what = f"broken: {exc}"
        rows.append((plugin.kind, _where(plugin), what))
    for line in table(("KIND", "FROM", "WHAT IT DOES"), rows):
        click.echo(terminal.line([(printable(line),)]))


def _where(plugin: Plugin[Check]) -> str:
    """The package, or the config, that offers it, and the class."""
    return f"{plugin.origin} ({plugin.reference})"


def _show(plugin: Plugin[Check], terminal: Terminal) -> None:
    from monitor.cli.render.options import fact_rows, first_line, option_rows, table  # noqa: PLC0415

    cls = plugin.cls
    click.echo(printable(f"{plugin.kind}, from {_where(plugin)}: {first_line(cls)}"))
    sections: list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]] = [
        ("Options:", ("NAME", "TYPE", "DEFAULT", ""), option_rows(cls))
    ]
    if cls.facts is not None:
        sections.append(("Facts:", ("NAME", "TYPE", ""), fact_rows(cls.facts)))
    for title, head, rows in sections:
        click.echo(f"\n{terminal.paint(title, 'bold')}")
        for line in table(head, rows):
            click.echo(f"  {printable(line)}")
    if cls.schemes:
        click.echo("\nChosen by URLs that begin with " + ", ".join(f"{scheme}://" for scheme in cls.schemes))
