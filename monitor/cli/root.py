"""The `monitor` command itself: its sub-commands are imported when somebody asks for one."""

from __future__ import annotations

import importlib

import click

from monitor.cli.options import config_file

COMMANDS = {
    "run": "Watch every endpoint; serve the page and the API.",
    "check": "Probe once: URLs, or the endpoints of the config.",
    "status": "Show what a running daemon sees now.",
    "validate": "Read the config; report every mistake at once.",
    "checks": "List the installed checks, or the options of one.",
    "schema": "Print the JSON Schema of the config, for editors.",
    "silence": "Send no alerts about a target for a while.",
    "ack": "Stop the reminders of an incident.",
    "import": "Print another monitor's config as one of ours.",
    "backtest": "Replay history: which alerts would another config send?",
    "test-alert": "Send a test alert through a sink; show the answer.",
    "outbox": "List what waits and what is dead; put dead alerts back.",
    "demo": "Take a tour on loopback: no config, no internet.",
}


class _Commands(click.Group):
    """A group that knows its commands by name and loads one on demand."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(_module(cmd_name)).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            ctx.fail(f"No such command '{name}'.{_hint(name)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _module(name: str) -> str:
    """Where the command *name* is; `import` would be no name for a module."""
    return f"monitor.cli.{'import_' if name == 'import' else name.replace('-', '_')}"


def _hint(name: str) -> str:
    import difflib  # noqa: PLC0415 - only somebody who mistyped pays for it

    close = difflib.get_close_matches(name, COMMANDS, n=1)
    return f" Did you mean '{close[0]}'?" if close else ""


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@config_file
@click.version_option(package_name="nursery-monitor", prog_name="nursery-monitor", message="%(prog)s %(version)s")
def root(config: object) -> None:
    """Watch services: HTTP, WebSocket, and checks of your own.

    Exit codes of one-shot commands: 0 all up, 1 degraded, 2 down, 3 unknown or any error, 130 interrupted.
    """
