"""What a reading of the config looked at, and how that was then: so that it can be told whether it has changed since.

Every file is noted before it is read. What is written in between is seen as a change, never missed.
"""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Self

import attrs

_MAGIC = ("*", "?", "[")
_MOST_LINKS = 40  # as the kernel has it

Stamp = tuple[int, ...]


def _stamp(path: Path) -> Stamp | None:
    """What changes whenever somebody writes or replaces *path*; None: it is not there, or out of reach."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def matching(pattern: str, directory: Path) -> list[str]:
    """The files that *pattern* names from *directory* on, in sorted order."""
    # Path.glob takes no absolute pattern, and none that names a file without magic.
    return sorted(glob.glob(pattern, root_dir=directory, recursive=True))  # noqa: PTH207


@attrs.define
class Sights:
    """Files by their path, patterns by the directory they are relative to; two that compare equal saw the same."""

    files: dict[Path, Stamp | None] = attrs.field(factory=dict)
    patterns: dict[tuple[str, Path], list[str]] = attrs.field(factory=dict)
    main: Path | None = None

    def look(self, path: Path) -> None:
        """Note how the file *path* is; the first one is the main file."""
        path = path.absolute()
        self.main = self.main or path
        self.files.setdefault(path, _stamp(path))

    def match(self, pattern: str, directory: Path) -> list[str]:
        """Give, and note, what `matching` does."""
        return self.patterns.setdefault((pattern, directory), matching(pattern, directory))

    def again(self) -> Self:
        """The same files and patterns, as they are now. Blocks."""
        return type(self)(
            {path: _stamp(path) for path in self.files},
            {place: matching(*place) for place in self.patterns},
            self.main,
        )

    @property
    def half_written(self) -> bool:
        """Is the main file empty, as one is that somebody has just begun to write?"""
        stamp = None if self.main is None else self.files[self.main]
        return stamp is not None and stamp[2] == 0

    def places(self) -> set[Path]:
        """Where to listen for changes: the files themselves, and every directory in which they could be replaced.

        A file that is mounted by itself changes unknown to its directory. One that is replaced, also by moving a
        symbolic link somewhere on the way to it, changes unknown to itself. Blocks.
        """
        found: set[Path] = set()
        for path in self.files:
            found |= _directories(path)
            if path.is_file():
                found.add(path)
        for pattern, directory in self.patterns:
            found |= _searched(pattern, directory)
        return found


def _directories(path: Path) -> set[Path]:
    """The directory of *path*, and those of every symbolic link on the way to it; of what is missing, the nearest."""
    found: set[Path] = set()
    path = path.absolute()
    here, steps, links = Path(path.anchor), [*path.parts[:0:-1]], 0
    while steps:
        step = here / steps.pop()
        if step.is_symlink() and links < _MOST_LINKS:
            found.add(here)
            target, links = Path(os.readlink(step)), links + 1  # noqa: PTH115 - as it stands there
            here = Path(target.anchor) if target.is_absolute() else here
            steps += [each for each in target.parts[::-1] if each != target.anchor]
        elif not steps or not step.is_dir():
            return {*found, here}
        else:
            here = step.parent.parent if step.name == ".." else step
    return {*found, here}


def _searched(pattern: str, directory: Path) -> set[Path]:
    """The directories in which *pattern* looks, as they are now."""
    parts = (directory / pattern).parts
    magic = next((index for index, part in enumerate(parts) if any(each in part for each in _MAGIC)), len(parts) - 1)
    found = _directories(Path(*parts[: magic + 1]))
    for end in range(magic + 1, len(parts)):
        for match in glob.glob(str(Path(*parts[:end])), recursive=True):  # noqa: PTH207 - as the pattern is matched
            if Path(match).is_dir():
                found.add(Path(match))
    return found
