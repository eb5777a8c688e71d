"""`monitor check`: probe once, and leave with an exit code that says how it went."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

import attrs
import click

from monitor.cli.options import config_file, duration
from monitor.core.errors import MonitorError
from monitor.core.model import Status
from monitor.core.programs import DEFAULT_MEMORY
from monitor.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from monitor.config.secrets import Masker
    from monitor.core.model import Endpoint, Observation
    from monitor.core.quantities import Duration

FORMATS = ("text", "json", "nagios", "junit", "tap", "prometheus")
_EXIT_CODES = {Status.UP: 0, Status.DEGRADED: 1, Status.DOWN: 2, Status.UNKNOWN: 3}
_BEST_FIRST = (Status.UP, Status.DEGRADED, Status.UNKNOWN, Status.DOWN)
_TARGET_TIMEOUT = "5s"
_TARGET_CONCURRENCY = 500


def _format(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if value not in FORMATS:
        raise click.BadParameter(f"expected one of {', '.join(FORMATS)}, got {value!r}.", ctx, param)
    return value


@click.command("check")
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@config_file
@click.option("--only", multiple=True, metavar="GLOB", help="Only endpoints whose name matches; repeatable.")
@click.option(
    "--format",
    "form",
    default="text",
    metavar="|".join(FORMATS),
    callback=_format,
    help="What to print; default: text.",
)
@click.option("--timeout", metavar="D", callback=duration, help="In place of each endpoint's, such as 2s.")
@click.option("--explain", is_flag=True, help="Show the phases and facts of each probe.")
@click.option("--retry-until", metavar="D", callback=duration, help="Try again until all are up, or D passes.")
def command(
    targets: tuple[str, ...],
    config: Path,
    only: tuple[str, ...],
    form: str,
    timeout: Duration | None,
    explain: bool,
    retry_until: Duration | None,
) -> int:
    """Probe each TARGET once: https://…, wss://…; or, without one, every enabled endpoint of the config.

    Exit codes: 0 all up, 1 the worst is degraded, 2 something is down, 3 something is unknown, or an error.
    """
    selection = _from_targets(targets) if targets else _from_config(config)
    if only:
        selection = attrs.evolve(selection, endpoints=_matching(selection.endpoints, only))
    selection = _without_heartbeats(selection)
    if timeout is not None:
        replaced = tuple(attrs.evolve(endpoint, timeout=timeout) for endpoint in selection.endpoints)
        selection = attrs.evolve(selection, endpoints=replaced)
    if retry_until is not None:
        selection = attrs.evolve(selection, patience=retry_until)
    if form == "text":
        seen = _show_text(selection, explain=explain)
    else:
        seen = selection.probe()
        click.echo(_rendered(form, selection.endpoints, seen))
    return _EXIT_CODES[_worst(seen)]


@attrs.frozen
class _Selection:
    """What to probe, how many at once, how to hide secrets, and how long to try again what is not up."""

    endpoints: tuple[Endpoint, ...]
    concurrency: int
    mask: Masker
    patience: Duration | None = None
    memory: int = DEFAULT_MEMORY  # for one program of a check

    def probe(
        self,
        on_start: Callable[[Endpoint], None] = lambda _: None,
        on_result: Callable[[Endpoint, Observation], None] = lambda _, __: None,
    ) -> list[Observation]:
        """Probe all of it; the results are in the order of the endpoints."""
        from monitor import logs, oneshot  # noqa: PLC0415 - trio comes with it; mistakes are told sooner

        try:
            # What a check of somebody's own says, or prints: stdout is for the results.
            with logs.plain(mask=self.mask), contextlib.redirect_stdout(sys.stderr):
                return oneshot.run(
                    self.endpoints,
                    concurrency=self.concurrency,
                    mask=self.mask,
                    patience=self.patience,
                    memory=self.memory,
                    on_start=on_start,
                    on_result=on_result,
                )
        except oneshot.Interrupted as interrupted:
            raise click.exceptions.Exit(128 + interrupted.number) from None


def _from_targets(targets: Sequence[str]) -> _Selection:
    from urllib.parse import unquote, urlsplit  # noqa: PLC0415

    from monitor.config.load import endpoint_for_target  # noqa: PLC0415
    from monitor.config.secrets import Masker  # noqa: PLC0415
    from monitor.core.quantities import Duration  # noqa: PLC0415
    from monitor.plugins import Registry  # noqa: PLC0415

    registry, timeout, masker = Registry(), Duration.parse(_TARGET_TIMEOUT), Masker()
    endpoints = tuple(endpoint_for_target(url, registry, timeout=timeout) for url in targets)
    for url in targets:  # a server may echo the password
        masker.remember(unquote(urlsplit(url).password or ""))
    return _Selection(endpoints, _TARGET_CONCURRENCY, masker)


def _from_config(path: Path) -> _Selection:
    from monitor.config.load import load  # noqa: PLC0415

    config = load(path, environ=os.environ)
    if not config.enabled:
        raise MonitorError(f"{path}: there is no enabled endpoint to check")
    return _Selection(config.enabled, config.max_concurrent_probes, config.masker, memory=config.worker_memory)


def _without_heartbeats(selection: _Selection) -> _Selection:
    """Who is heard, and not asked, is left out with a note."""
    from monitor.plugin import Check  # noqa: PLC0415

    heard = [each for each in selection.endpoints if isinstance(each.check, Check) and each.check.push_token]
    for each in heard:
        click.echo(f"note: {printable(each.name)} is skipped: it sends heartbeats to a running daemon", err=True)
    if len(heard) == len(selection.endpoints):
        raise MonitorError("there is nothing else to check")
    return attrs.evolve(selection, endpoints=tuple(each for each in selection.endpoints if each not in heard))


def _matching(endpoints: Sequence[Endpoint], globs: Sequence[str]) -> tuple[Endpoint, ...]:
    from fnmatch import fnmatchcase  # noqa: PLC0415

    chosen = tuple(
        endpoint
        for endpoint in endpoints
        if any(endpoint.name == glob or fnmatchcase(endpoint.name, glob) for glob in globs)
    )
    if not chosen:
        asked = " ".join(f"--only {glob!r}" for glob in globs)
        raise MonitorError(f"{asked} matches none of the {len(endpoints)} endpoints")
    return chosen


def _worst(seen: Sequence[Observation]) -> Status:
    return max((each.status for each in seen), key=_BEST_FIRST.index)


def _rendered(form: str, endpoints: Sequence[Endpoint], seen: Sequence[Observation]) -> str:
    """The results in one of the formats for machines; each is imported only where it is wanted."""
    from monitor.cli.render import as_json, junit, nagios, tap  # noqa: PLC0415

    match form:
        case "nagios":
            return nagios.render(endpoints, seen, _worst(seen))
        case "junit":
            return junit.render(endpoints, seen)
        case "tap":
            return tap.render(endpoints, seen)
        case "prometheus":
            from monitor.cli.render import prometheus  # noqa: PLC0415 - its library takes a while to load

            if hasattr(sys.stdout, "reconfigure"):
                sys.stdout.reconfigure(encoding="utf-8")  # the format has no other, whatever the terminal speaks
            return prometheus.render(endpoints, seen)
        case _:
            encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
            return as_json.render(endpoints, seen, _worst(seen), ascii_only=encoding != "utf8")


def _show_text(selection: _Selection, *, explain: bool) -> list[Observation]:
    from monitor.cli.render.text import Text  # noqa: PLC0415
    from monitor.cli.terminal import Terminal  # noqa: PLC0415

    terminal = Terminal.of(sys.stdout, os.environ)
    text = Text.of(selection.endpoints, terminal, explain=explain)
    if terminal.live:
        from monitor.cli.render.live import Live  # noqa: PLC0415

        with Live(selection.endpoints, text, sys.stdout) as live:
            seen = selection.probe(live.started, live.finished)
    else:
        # Printed when all is done: a reader that takes its time (`| less`) must not make probes miss deadlines.
        seen = selection.probe()
        for endpoint, observation in zip(selection.endpoints, seen, strict=True):
            for spans in text.result(endpoint, observation):
                click.echo(terminal.line(spans))
    click.echo(text.summary(seen))
    return seen
