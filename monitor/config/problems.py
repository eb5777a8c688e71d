"""Every mistake of a config, gathered: where it stands, and what is wrong, without what was inserted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from monitor.config.fields import mistakes
from monitor.config.positions import text_of
from monitor.core.errors import ConfigError, PluginError, Problem

if TYPE_CHECKING:
    from monitor.config.files import Source
    from monitor.config.positions import Path
    from monitor.config.secrets import Masker


class Problems:
    """The mistakes found so far."""

    def __init__(self, masker: Masker) -> None:
        """Begin without any; *masker* goes over every message."""
        self._masker = masker
        self._found: dict[str, list[Problem]] = {}  # by file, in the order the files were met
        self._broken: set[str] = set()
        self._told: set[Problem] = set()

    def met(self, source: Source) -> None:
        """*source* comes next: its problems stand after those of the files before it."""
        self._found.setdefault(source.name, [])

    def add(self, source: Source, path: Path, message: str) -> None:
        """One mistake; told once, however many endpoints a table makes."""
        text = self._masker.thoroughly(message)
        problem = Problem(source.name, source.positions.line(path), text_of(path), text)
        if problem not in self._told:
            self._told.add(problem)
            self.keep(problem)

    def keep(self, *problems: Problem) -> None:
        """Mistakes that already know where they stand."""
        for problem in problems:
            self._found.setdefault(problem.file, []).append(problem)

    def at(self, source: Source, *path: str | int) -> _At:
        """What goes wrong inside `with` is a mistake at *path*; the block ends there."""
        return _At(self, source, path)

    def broken(self, source: Source, path: Path, exc: PluginError) -> None:
        """A plugin that cannot be used: told once, not by everybody who uses it."""
        if str(exc) not in self._broken:
            self._broken.add(str(exc))
            self.add(source, path, str(exc))

    def raise_any(self) -> None:
        """Raise ConfigError if there are any, in the order of files and lines."""
        ordered = [
            problem
            for found in self._found.values()
            for problem in sorted(found, key=lambda problem: problem.line or 0)
        ]
        if ordered:
            raise ConfigError(ordered)


@attrs.define  # not frozen, which takes longer: there are a few for every endpoint
class _At:
    """Turns exceptions into problems. (A class, because mypy then knows that they end here.)"""

    problems: Problems
    source: Source
    path: Path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, exc: BaseException | None, traceback: object) -> bool:
        if isinstance(exc, ValueError):
            for place, message in mistakes(exc, *self.path):
                self.problems.add(self.source, place, message)
        elif isinstance(exc, PluginError):
            self.problems.broken(self.source, self.path, exc)
        return isinstance(exc, ValueError | PluginError)
