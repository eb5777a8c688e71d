"""`exec`: run a program that speaks as Nagios plugins do: exit code, one line for people, numbers behind a bar."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import attrs

from checks import perfdata
from monitor.api import Check, Code, Fact, Metric, OptionError, Probe, Ran, Verdict, check_option, named_secrets


def _command(words: tuple[str, ...]) -> None:
    if not words or not words[0]:
        raise ValueError('expected a program and its arguments, such as ["check_ping", "-H", "192.0.2.1"]')
    for index, word in enumerate(words):
        if "\0" in word:
            raise OptionError(f"command[{index}]", "expected a text without NUL")


def _variables(env: dict[str, str]) -> None:
    for name, value in env.items():
        if not name or "=" in name or "\0" in name:
            raise ValueError(f'expected names of environment variables, got "{name}"')
        if "\0" in value:
            raise OptionError(f"env.{name}", "expected a text without NUL")


def _value(item: Mapping[str, Any]) -> float:
    return float(item["value"])


def _unit(item: Mapping[str, Any]) -> str:
    return str(item["unit"])


@attrs.frozen(kw_only=True)
class Exec(Check):
    """Run a Nagios plugin, or any program that ends as they do: 0 up, 1 degraded, 2 down, 3 unknown."""

    facts: ClassVar[Mapping[str, Fact] | None] = {
        "exit_code": Fact(
            0,
            "its exit code; minus the number of the signal that ended it",
            metrics=(Metric("probe_exec_exit_code", "Exit code of the program."),),
        ),
        "output": Fact("PING OK", "the first line that it printed, without numbers"),
        "details": Fact("more", "the lines after that, without numbers"),
        "perfdata": Fact(
            {},
            "its numbers by their label, each with value, unit, and where given warn, crit, min, max",
            metrics=(
                Metric(
                    "probe_exec_perfdata",
                    "A number that the program printed, in base units.",
                    _value,
                    label="label",
                    each=True,
                    unit=_unit,
                ),
            ),
        ),
    }

    command: tuple[str, ...] = check_option(doc="the program and its arguments; no shell", validator=_command)
    env: dict[str, str] = check_option(
        factory=dict,
        doc="environment variables; of the monitor's own it sees few",
        validator=_variables,
        secret=named_secrets,
    )
    directory: Path | None = check_option(default=None, doc="where it works; default where the monitor does")

    @property
    def target(self) -> str:
        """The command, as a shell would take it."""
        return shlex.join(self.command)

    async def probe(self, probe: Probe) -> Verdict:
        """Run it, read what it printed, judge by its exit code."""
        probe.phase("processing")
        ran = await probe.run(self.command, env=self.env, directory=self.directory)
        printed = perfdata.read(ran.out.decode("utf-8", "replace"))
        probe.facts["exit_code"] = ran.code
        probe.facts["output"] = printed.message
        probe.facts["details"] = printed.more
        probe.facts["perfdata"] = printed.perfdata
        if probe.expects("exit_code"):
            return Verdict.up()
        return _verdict(ran, printed.message or _complaint(ran))


def _verdict(ran: Ran, message: str) -> Verdict:
    match ran.code:
        case 0:
            return Verdict.up()
        case 1:
            return Verdict.degraded(message, phase="processing")
        case 2:
            return Verdict.down(message, phase="processing")
        case 3:
            return Verdict.unknown(message, phase="processing")
        case code:
            how = f"exit code {code}" if code >= 0 else f"an end by {_signal(-code)}"
            text = f"expected the program to exit with 0-3, got {how}: {message}"
            return Verdict.unknown(text, code=Code.CRASH, phase="processing")


def _complaint(ran: Ran) -> str:
    """What there is to say of a program that printed nothing."""
    error = ran.err.decode("utf-8", "replace").strip().partition("\n")[0]
    return error or "it printed nothing"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
