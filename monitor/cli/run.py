"""`monitor run`: the daemon, until a signal."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Literal

import attrs
import click

from monitor.cli.options import config_file

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.config import Config, Listen


def _listen(ctx: click.Context, param: click.Parameter, value: str | None) -> Listen | None:
    from monitor.config.scalars import listen  # noqa: PLC0415

    try:
        return None if value is None else listen(value)
    except ValueError as exc:
        raise click.BadParameter(f"{exc}.", ctx, param) from exc


def _directory(ctx: click.Context, param: click.Parameter, value: str | None) -> Path | None:
    from pathlib import Path  # noqa: PLC0415

    if value == "":  # a variable that is not set; not where we are
        raise click.BadParameter("expected a directory, got nothing.", ctx, param)
    return None if value is None else Path(value).absolute()


@click.command("run")
@config_file
@click.option("--listen", metavar="HOST:PORT", callback=_listen, help="In place of the config's; port 0: any.")
@click.option(
    "--data-dir",
    metavar="DIR",
    callback=_directory,
    help="In place of the config's; relative to where you are.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    help="Of the log on stderr; default: text.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    help="The least that is logged; default: info.",
)
def command(
    config: Path, listen: Listen | None, data_dir: Path | None, log_format: Literal["text", "json"], log_level: str
) -> None:
    """Watch every endpoint until SIGTERM or Ctrl-C; a second one ends it at once.

    SIGHUP, or a change of one of its files, reads the config again. Prints one line when ready,
    with the address of the page: "ready: http://127.0.0.1:8080". Logs go to stderr.
    """
    from monitor.config.load import load  # noqa: PLC0415
    from monitor.config.secrets import Masker  # noqa: PLC0415
    from monitor.limits import collect_no_garbage  # noqa: PLC0415

    given: dict[str, object] = {}
    if listen is not None:
        given["listen"] = listen
    if data_dir is not None:
        given["data_dir"] = data_dir
    masker = Masker()

    def read() -> Config:
        nonlocal masker
        loaded = attrs.evolve(load(config, environ=os.environ), **given)  # type: ignore[arg-type]  # chosen by name
        masker |= loaded.masker  # what was ever a secret stays out of the log
        return loaded

    collect_no_garbage()  # nearly all that is made until everything has started stays
    loaded = read()
    from monitor import daemon, logs  # noqa: PLC0415 - a mistake in the config is told before trio is loaded

    def mask(text: str) -> str:  # the masker of the moment
        return masker(text)

    stdout = sys.stdout

    def announce(url: str) -> None:
        with contextlib.suppress(OSError):  # whoever started us need not read it
            click.echo(f"ready: {url}", file=stdout)
            stdout.flush()

    with logs.setup(format=log_format, level=log_level, stream=sys.stderr, mask=mask), logs.printed():
        daemon.run(loaded, reload=read, ready=announce)
