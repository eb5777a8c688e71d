"""`monitor outbox`: what waits to be delivered, what is dead, and dead ones put back.

A running daemon is asked; where none runs the database is read, and written, here.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import attrs
import click

from monitor.cli.client import Client, NoDaemonError, daemon_url
from monitor.cli.options import config_file
from monitor.core.quantities import shown
from monitor.core.text import counted, printable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from monitor.config import Config
    from monitor.store import Store

_PAGE = 1000
_LEFT = (  # why a delivery is not put back
    ("obsolete", "obsolete, left as they are (--force sends them all the same)"),
    ("gone", "to a sink that is not in the config"),
    ("unknown", "not among the dead"),
)
_form = click.option("--format", "form", type=click.Choice(("text", "json")), default="text", help="Default: text.")
_sink = click.option("--sink", metavar="NAME", help="Only those to this sink.")


def _ids(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[int, ...]:
    for value in values:
        if not (value.isascii() and value.isdecimal() and 0 < int(value) < 2**63):
            text = f"expected an ID as `monitor outbox` lists them, such as 12, got {shown(value)}."
            raise click.BadParameter(text, ctx, param)
    return tuple(map(int, values))


@click.group("outbox", invoke_without_command=True)
@config_file
@daemon_url
@_form
@click.pass_context
def command(ctx: click.Context, config: Path, url: str | None, form: str) -> None:
    """List what waits to be delivered and what is dead, or put dead deliveries back.

    Without a daemon the database of the config is used.
    """
    if ctx.invoked_subcommand is None:
        _list(config, url, state=None, sink=None, form=form)


@command.command("list")
@config_file
@daemon_url
@click.option("--state", type=click.Choice(("pending", "dead")), help="Only those.")
@_sink
@_form
def list_(config: Path, url: str | None, state: str | None, sink: str | None, form: str) -> None:
    """List what waits to be delivered, and what is dead."""
    _list(config, url, state=state, sink=sink, form=form)


@command.command("retry")
@config_file
@daemon_url
@click.argument("ids", nargs=-1, callback=_ids, metavar="[ID]...")
@_sink
@click.option("--force", is_flag=True, help="Also what is obsolete: a later alert of the endpoint was delivered.")
@_form
def retry(config: Path, url: str | None, ids: tuple[int, ...], sink: str | None, form: str, *, force: bool) -> int:
    """Put dead deliveries back, in order: those with these IDs, or all there are."""
    wanted = list(ids) or None
    asked = {"force": force} | ({"ids": wanted} if wanted else {}) | ({"sink": sink} if sink else {})

    def ask(client: Client) -> Any:
        return client.post("/api/v1/outbox/retry", asked)

    async def here(store: Store, config: Config) -> Any:
        from monitor.system import SystemClock  # noqa: PLC0415

        sinks = [each.name for each in config.sinks]
        done = await store.put_back(wanted, sink=sink, sinks=sinks, force=force, at=SystemClock().wall())
        return attrs.asdict(done)

    done = _answer(config, url, ask, here)
    if form == "json":
        click.echo(json.dumps(done, indent=2))
    else:
        for line in _told(done):
            click.echo(line)
    asked_in_vain = wanted and any(done[key] for key, _ in _LEFT)
    return 3 if asked_in_vain else 0


def _told(done: dict[str, list[int]]) -> list[str]:
    lines = [f"{counted(len(done['put_back']), 'delivery', 'deliveries')} put back"]
    return lines + [f"{', '.join(map(str, done[key]))}: {words}" for key, words in _LEFT if done[key]]


def _list(config: Path, url: str | None, *, state: str | None, sink: str | None, form: str) -> None:
    def ask(client: Client) -> Any:
        asked = {"limit": _PAGE} | ({"state": state} if state else {}) | ({"sink": sink} if sink else {})
        found: list[Any] = []
        after = 0
        while True:
            page = client.get(f"/api/v1/outbox?{urlencode(asked | {'after': after})}", "deliveries")
            found += page["deliveries"]
            if page["next"] is None:
                return {"deliveries": found, "pending": page["pending"], "dead": page["dead"]}
            after = page["next"]

    async def here(store: Store, _: Config) -> Any:
        states = ("pending", "dead") if state is None else (state,)
        letters = await store.letters(states=states, sink=sink, limit=2**31)
        return {"deliveries": [each.to_json() for each in letters], **await store.letter_counts()}

    seen = _answer(config, url, ask, here)
    if form == "json":
        click.echo(json.dumps(seen, indent=2))
        return
    for line in _table(seen["deliveries"]):
        click.echo(printable(line))
    click.echo(f"{seen['pending']} pending, {seen['dead']} dead")


def _table(deliveries: list[dict[str, Any]]) -> list[str]:
    from monitor.cli.render.options import table  # noqa: PLC0415 - `--help` does without

    if not deliveries:
        return []
    head = ("ID", "STATE", "SINK", "ENDPOINT", "ALERT", "MADE", "TRIES", "LAST ERROR")
    return [
        *table(
            head,
            [
                (
                    str(each["id"]),
                    "obsolete" if each["obsolete"] else each["state"],
                    each["sink"],
                    each["endpoint"] or "-",
                    each["type"].removeprefix("alert."),
                    each["created_at"][:19].replace("T", " "),
                    str(each["attempts"]),
                    each["error"] or "",
                )
                for each in deliveries
            ],
        ),
        "",
    ]


def _answer(
    path: Path,
    url: str | None,
    ask: Callable[[Client], Any],
    here: Callable[[Store, Config], Awaitable[Any]],
) -> Any:
    """What the daemon says; where none runs, and none was asked for by its URL, what the database says."""
    try:
        return ask(Client.of(path, url))
    except NoDaemonError:
        if url or os.environ.get("MONITOR_URL"):
            raise
    import trio  # noqa: PLC0415

    from monitor.config.load import load  # noqa: PLC0415
    from monitor.store.files import NAME  # noqa: PLC0415
    from monitor.store.sqlite import open_store  # noqa: PLC0415
    from monitor.system import SystemClock  # noqa: PLC0415

    config = load(path, environ=os.environ)

    async def with_store() -> Any:
        async with open_store(config.data_dir, clock=SystemClock(), mend=False) as store:
            return await here(store, config)

    if not (config.data_dir / NAME).exists():
        raise NoDaemonError(f"no daemon runs, and there is no database in {config.data_dir}")
    return trio.run(with_store)
