"""`monitor import`: endpoints and sinks from the config of another monitor."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from monitor.cli.options import config_file
from monitor.core.errors import ConfigError, MonitorError
from monitor.core.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.imports import Imported

_SOURCES = ("gatus", "uptime-kuma", "blackbox")
_STAND_IN = "https://stand-in.example"  # can be a URL, a part of one, or any text
_PLACE = re.compile(r"^(endpoint|sink)\[(\d+)\]")
_FILES = frozenset({"ca_file", "client_cert", "client_key"})


@click.command("import")
@config_file
@click.argument("source", type=click.Choice(_SOURCES), metavar="gatus|uptime-kuma|blackbox")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
def command(config: Path, source: str, file: Path) -> None:  # noqa: ARG001 - every command takes it
    """Print FILE, of Gatus, Uptime Kuma or blackbox_exporter, as a config of ours.

    That is the config.yaml of Gatus, the backup of Uptime Kuma, the blackbox.yml of blackbox_exporter; - is stdin.
    What has no counterpart is listed at the head of it, and on stderr. Endpoints and sinks can be included; modules
    stand in the main file.
    """
    from monitor.imports import tables  # noqa: PLC0415 - `--help` does without

    file = Path("/dev/stdin") if str(file) == "-" else file
    result = _accepted(_read(source, file))
    click.echo(tables.text(result, f"{file.name} ({source})"), nl=False)
    for sentence in result.left_out:
        print(f"left out: {sentence}", file=sys.stderr)  # noqa: T201
    modules = source == "blackbox"
    done = counted(len(result.modules), "module") if modules else counted(len(result.endpoints), "endpoint")
    print(f"imported {done}", file=sys.stderr)  # noqa: T201


def _read(source: str, file: Path) -> Imported:
    try:
        content = file.read_text("utf-8")
    except OSError as exc:
        raise MonitorError(f"cannot read {file}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise MonitorError(f"{file}: expected UTF-8, got something else at byte {exc.start}") from exc
    try:
        if source == "gatus":
            from monitor.imports import gatus  # noqa: PLC0415

            return gatus.imported(_yaml(content))
        if source == "blackbox":
            from monitor.imports import blackbox  # noqa: PLC0415

            return blackbox.imported(_yaml(content))
        from monitor.imports import uptime_kuma  # noqa: PLC0415

        return uptime_kuma.imported(json.loads(content))
    except MonitorError as exc:
        raise MonitorError(f"{file}: {exc}") from exc
    except (ValueError, RecursionError) as exc:
        raise MonitorError(f"{file}: {str(exc).partition(chr(10))[0] or 'nested too deeply'}") from exc


def _yaml(content: str) -> Any:
    import yaml  # noqa: PLC0415

    try:
        return yaml.safe_load(content)
    except yaml.YAMLError as exc:
        raise MonitorError(" ".join(str(exc).split())) from exc


def _accepted(result: Imported) -> Imported:
    """*result* without what our own config would refuse: each such thing is left out, with the reason."""
    while refused := _refused(result):
        for (kind, index), message in sorted(refused.items(), reverse=True):
            if isinstance(index, str):
                del result.modules[index]
                result.left_out.append(f'the module "{index}": {message}')
                continue
            gone = (result.endpoints if kind == "endpoint" else result.sinks).pop(index)
            result.left_out.append(f'the {kind} "{gone["name"]}": {message}')
            if kind == "sink":
                _without_sink(result, gone["name"])
    return result


def _refused(result: Imported) -> dict[tuple[str, int | str], str]:
    """What our config says against anything, by kind and index or name; sinks first, as endpoints name them."""
    from monitor.config.load import load  # noqa: PLC0415
    from monitor.imports import tables  # noqa: PLC0415

    refused: dict[tuple[str, int | str], str] = {}
    modules = {name: _without_files(each) for name, each in result.modules.items()}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "config.toml"
        path.write_text(tables.text(attrs.evolve(result, modules=modules), ""), "utf-8")
        try:
            load(path, environ=_Anything())
        except ConfigError as exc:
            for problem in exc.problems:
                refused.setdefault(_place(problem.path, modules), problem.message)
    sinks = {place: message for place, message in refused.items() if place[0] == "sink"}
    return sinks or refused


def _place(path: str, modules: Iterable[str]) -> tuple[str, int | str]:
    """Whose mistake it is that stands at *path*."""
    if found := _PLACE.match(path):
        return found[1], int(found[2])
    return "module", max((name for name in modules if f"{path}.".startswith(f"module.{name}.")), key=len)


def _without_files(module: dict[str, Any]) -> dict[str, Any]:
    """*module* as it can be read where its files are not."""
    return {
        key: "elsewhere"
        if isinstance(value, dict) and value.keys() == {"file"}
        else _without_files(value)
        if isinstance(value, dict)
        else value
        for key, value in module.items()
        if key not in _FILES
    }


def _without_sink(result: Imported, name: str) -> None:
    for endpoint in result.endpoints:
        if name in endpoint.get("sinks", ()):
            endpoint["sinks"].remove(name)


class _Anything(dict[str, str]):
    """An environment in which every variable is set: what the config will be read in is not known here."""

    def __contains__(self, _: object) -> bool:
        return True

    def __missing__(self, _: str) -> str:
        return _STAND_IN

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ARG002
        return _STAND_IN
