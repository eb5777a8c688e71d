"""Endpoints with `targets` or a `targets_file`: one table of the config that is many endpoints, `NAME:TARGET` each.

A file is what Prometheus' `file_sd_configs` reads: JSON or YAML, an array of groups, each `{"targets": [...], "labels":
{...}}`. What stands in it is taken as it is: nothing is inserted.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING, Any

import attrs

from monitor.config.files import Source, text_in
from monitor.config.schema import title
from monitor.core.errors import ConfigError, Problem
from monitor.core.hints import did_you_mean
from monitor.core.quantities import shown
from monitor.declaring import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from monitor.config.positions import Path as Place
    from monitor.config.problems import Problems
    from monitor.config.schema import EndpointTable
    from monitor.config.sights import Sights
    from monitor.config.texts import Texts
    from monitor.plugin import Check

HOLE = "{target}"
KEYS = ("targets", "targets_file")
_DEEPEST = 32
_GROUP = ("targets", "labels")


@attrs.frozen
class Member:
    """One endpoint of a family: its name, what it looks at, its own labels, and where that stands."""

    name: str
    target: str
    labels: Mapping[str, str]
    source: Source
    place: Place

    def filled(self, value: Any) -> Any:
        """*value*, which is still to be read as a config's, with the target in every hole of its texts."""
        match value:
            case str():
                return value.replace(HOLE, literal(self.target))
            case list():
                return [self.filled(each) for each in value]
            case dict():
                return {key: self.filled(each) for key, each in value.items()}
            case _:
                return value

    def table(self, common: EndpointTable) -> EndpointTable:
        """Our part of it: what all of the family have in *common*, and its own."""
        return attrs.evolve(common, name=self.name, labels={**common.labels, **self.labels})

    def options(self, cls: type[Check], options: Mapping[str, Any]) -> dict[str, Any]:
        """What a check of *cls* is to be made of. Raises OptionError, and ValueError about the target."""
        filled = {key: self.filled(value) for key, value in options.items()}
        if filled != options:
            return filled
        if not cls.schemes:
            raise ValueError(f"expected {HOLE} in an option of its check, which takes no URL")
        url = self.target if "://" in self.target else f"{cls.schemes[0]}://{self.target}"
        own = cls.for_target(url)
        for key in own.keys() & options.keys():
            raise OptionError(key, f"expected {HOLE} in it, as the endpoint has targets")
        return {**options, **_literal(own)}


def literal(text: str) -> str:
    """*text* so that, read as a config's, it is itself."""
    return text.replace("$", "$$")


def _literal(value: Any) -> Any:
    match value:
        case str():
            return literal(value)
        case list() | tuple():
            return [_literal(each) for each in value]
        case dict():
            return {key: _literal(each) for key, each in value.items()}
        case _:
            return value


def called(target: str) -> str:
    """What *target* is called in the name of its endpoint: host, port and path; no scheme, password or query."""
    _, separator, rest = target.partition("://")
    rest = rest if separator else target
    if separator or "/" in rest:
        host, slash, path = re.split("[?#]", rest, maxsplit=1)[0].partition("/")
        rest = host.rpartition("@")[2] + slash + path
    return rest.strip("/").replace("/", "_")


class Families:
    """Reads them; what is wrong goes to *problems*."""

    def __init__(self, texts: Texts, problems: Problems, sights: Sights) -> None:
        """Make ready; files are noted in *sights*."""
        self._texts = texts
        self._problems = problems
        self._sights = sights

    def members(self, source: Source, place: Place, name: str, targets: Any, files: str | None) -> list[Member]:
        """The members of the family *name*: its *targets*, right but not read yet, and those in *files*, a pattern."""
        found: dict[str, Member] = {}
        described = [self._listed(source, (*place, "targets"), name, targets or {})]
        if files is not None:
            described.append(self._of_files(source, (*place, "targets_file"), name, files))
        for member in itertools.chain(*described):
            with self._problems.at(member.source, *member.place):
                title(member.name)
                if member.name in found:
                    first = found[member.name].target
                    raise ValueError(
                        f"{shown(member.name)} is the name of {shown(first)} already: "
                        'give them names, targets = { NAME = "TARGET" }'
                    )
                found[member.name] = member
        return list(found.values())

    def _listed(self, source: Source, place: Place, name: str, targets: Any) -> Iterator[Member]:
        if isinstance(targets, dict):
            for key, target in targets.items():
                yield Member(f"{name}:{key}", self._texts.read(target), {}, source, (*place, key))
            return
        for index, target in enumerate(targets):
            if isinstance(target, str):  # called as it is written: what is inserted may be secret
                yield Member(f"{name}:{called(target)}", self._texts.read(target), {}, source, (*place, index))
            else:
                text = "expected a string; a target in a file needs a name to go by: { NAME = { file = … } }"
                self._problems.add(source, (*place, index), text)

    def _of_files(self, source: Source, place: Place, name: str, pattern: str) -> Iterator[Member]:
        matches = self._sights.match(pattern, self._texts.directory)
        if not matches and not any(each in pattern for each in "*?["):
            self._sights.look(self._texts.directory / pattern)
            self._problems.add(source, place, f"there is no file {shown(pattern)}")
        for match in matches:
            path = self._texts.directory / match
            file = Source(str(source.path.parent / match), path, "", {})
            self._problems.met(file)
            try:
                groups = _parsed(path, file.name, self._sights)
            except ConfigError as exc:
                self._problems.keep(*exc.problems)
                continue
            for index, group in enumerate(groups):
                with self._problems.at(file, index):
                    yield from self._of_group(file, index, name, group)

    def _of_group(self, file: Source, index: int, name: str, group: object) -> Iterator[Member]:
        if not isinstance(group, dict):
            raise ValueError(f'expected a table with "targets" and "labels", got {shown(group)}')  # noqa: TRY004
        for key in sorted(map(str, group.keys() - _GROUP)):
            self._problems.add(file, (index, key), f"unknown key{did_you_mean(key, _GROUP)}")
        labels: object = group.get("labels") or {}
        if not isinstance(labels, dict):
            self._problems.add(file, (index, "labels"), f"expected a table of strings, got {shown(labels)}")
            labels = {}
        for key, value in labels.items():
            if not isinstance(key, str) or not isinstance(value, str):
                self._problems.add(file, (index, "labels", str(key)), f"expected a string, got {shown(value)}")
        targets = group.get("targets")
        if not isinstance(targets, list):
            got = "nothing" if targets is None else shown(targets)
            self._problems.add(file, (index, "targets"), f"expected an array of strings, got {got}")
            return
        own = {key: value for key, value in labels.items() if not str(key).startswith("__")}  # as Prometheus does
        for number, target in enumerate(targets):
            place = (index, "targets", number)
            if isinstance(target, str):
                text = self._texts.read(literal(target))  # as it is; but a password in it is one
                yield Member(f"{name}:{called(target)}", text, own, file, place)
            else:
                self._problems.add(file, place, f"expected a string, got {shown(target)}")


def _parsed(path: Path, name: str, sights: Sights) -> list[object]:
    """The groups in the file *path*. Raises ConfigError with one problem."""

    def wrong(message: str, line: int | None = None) -> ConfigError:
        return ConfigError([Problem(name, line, "", message)])

    text = text_in(path, name, sights)
    groups: object
    try:
        match path.suffix.lower():
            case ".json":
                groups = json.loads(text)
            case ".yml" | ".yaml":
                groups = _yaml(text, wrong)
            case _:
                raise wrong("expected a name that ends with .json, .yml or .yaml")
    except json.JSONDecodeError as exc:
        raise wrong(f"not valid JSON, column {exc.colno}: {exc.msg[:1].lower()}{exc.msg[1:]}", exc.lineno) from exc
    except RecursionError:
        raise wrong("nested too deeply") from None
    except ValueError as exc:  # a number with more digits than Python reads
        raise wrong("a number has too many digits") from exc
    if not isinstance(groups, list):
        raise wrong(f"expected an array of groups of targets, got {shown(groups)}")
    return groups


def _yaml(text: str, wrong: Any) -> object:
    import yaml  # noqa: PLC0415 - only for those who have such a file

    try:
        # It makes nothing but strings, arrays and tables: a port is no number here.
        loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
        depth = 0
        for event in yaml.parse(text, loader):  # the loader in C overflows the stack on what is nested without end
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise wrong("nested too deeply")
        return yaml.load(text, loader)  # noqa: S506 - either is safe
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark
        where = "" if mark is None else f", column {mark.column + 1}"
        line = None if mark is None else mark.line + 1
        raise wrong(f"not valid YAML{where}: {exc.problem or exc.context}", line) from exc
    except yaml.YAMLError as exc:
        raise wrong(f"not valid YAML: {str(exc).partition(chr(10))[0]}") from exc
