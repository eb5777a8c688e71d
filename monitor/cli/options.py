"""Options that several commands take, and the types of their values."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from monitor.core.quantities import Duration

if TYPE_CHECKING:
    from collections.abc import Callable

    F = TypeVar("F", bound=Callable[..., Any])


def config_file(command: F) -> F:
    """Add `--config FILE`, before or after the command's name; the parameter `config` is always a path."""
    return click.option(
        "--config",
        metavar="FILE",
        callback=_chosen,
        help="The config file; default: MONITOR_CONFIG, else config.toml.",
    )(command)


def _chosen(ctx: click.Context, _: click.Parameter, value: str | None) -> Path:
    if value == "":
        raise click.BadParameter("expected the name of a file, got nothing.", ctx)
    before = ctx.parent.params.get("config") if ctx.parent is not None else None
    return Path(value or before or os.environ.get("MONITOR_CONFIG") or "config.toml")


def author(command: F) -> F:
    """Add `--author NAME`, of what somebody does at run time; default: the login name."""
    return click.option("--author", metavar="NAME", default=_login_name, help="Who does this; default: who you are.")(
        command
    )


def _login_name() -> str:
    import getpass  # noqa: PLC0415 - few commands need it

    try:
        return getpass.getuser()
    except (OSError, KeyError):  # nobody by this number: a container
        return ""


def duration(ctx: click.Context, param: click.Parameter, value: str | None) -> Duration | None:
    """The callback of an option that takes a length of time with its unit, as the config writes it: `1m30s`."""
    try:
        return None if value is None else Duration.parse(value)
    except ValueError as exc:
        raise click.BadParameter(f"{exc}.", ctx, param) from exc
