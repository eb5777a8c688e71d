"""`monitor test-alert`: does an alert get through?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from monitor.cli.options import config_file
from monitor.core.errors import MonitorError
from monitor.core.hints import did_you_mean
from monitor.core.quantities import seconds_text, shown
from monitor.core.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.config import Config, SinkSettings

_NOT_DELIVERED = 2


@click.command("test-alert")
@config_file
@click.argument("sink", required=False)
def command(config: Path, sink: str | None) -> int:
    """Send a test alert through SINK, or through every sink of the config; show what it answers and how long it took.

    It is sent now and once, whether a daemon runs or not. Exit codes: 0 delivered, 2 not delivered.
    """
    from monitor.config.load import load  # noqa: PLC0415 - `--help` does without

    loaded = load(config, environ=os.environ)
    chosen = _chosen(loaded, sink)
    import trio  # noqa: PLC0415

    from monitor import logs, trial  # noqa: PLC0415

    failed = 0
    for settings in chosen:
        with logs.plain(mask=loaded.masker):  # what a `log` sink says is its answer
            tried = trio.run(trial.send, settings)
        failed += not tried.delivered
        word = "delivered" if tried.delivered else "failed"
        said = loaded.masker(tried.said)
        answer = "" if said == word else f": {said}"
        click.echo(printable(f"{settings.name} ({settings.kind}): {word}{answer} ({seconds_text(tried.seconds)})"))
    return _NOT_DELIVERED if failed else 0


def _chosen(config: Config, name: str | None) -> tuple[SinkSettings, ...]:
    if not config.sinks:
        raise MonitorError("the config has no sinks")
    if name is None:
        return config.sinks
    found = tuple(each for each in config.sinks if each.name == name)
    if not found:
        raise MonitorError(f"there is no sink {shown(name)}{did_you_mean(name, [each.name for each in config.sinks])}")
    return found
