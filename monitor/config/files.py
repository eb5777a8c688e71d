"""Reading a config file: every way in which it cannot be read is one sentence."""

from __future__ import annotations

import functools
import re
import tomllib
from typing import TYPE_CHECKING, Any

import attrs

from monitor.config.positions import Positions
from monitor.core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.config.sights import Sights

_LARGEST = 32 * 1024 * 1024
_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)$")


@attrs.frozen
class Source:
    """One parsed file; *name* is how messages call it."""

    name: str
    path: Path
    text: str = attrs.field(repr=False)
    tree: dict[str, Any] = attrs.field(repr=False)

    @functools.cached_property
    def positions(self) -> Positions:
        """Where everything stands in it."""
        return Positions(self.text, self.tree)


def read(path: Path, name: str, sights: Sights) -> Source:
    """Read and parse the file *path*, and note it in *sights*. Raises ConfigError with one problem."""
    text = text_in(path, name, sights)
    try:
        return Source(name, path, text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as exc:
        place = _PLACE.search(str(exc))
        line = int(place[1]) if place else max(1, text.rstrip("\n").count("\n") + 1)
        what = _PLACE.sub("", str(exc)).removesuffix(" (at end of document)")
        where = f"column {place[2]}" if place else "end of file"
        raise _unusable(name, f"not valid TOML, {where}: {what[:1].lower()}{what[1:]}", line) from exc
    except RecursionError:
        raise _unusable(name, "not usable TOML: nested too deeply") from None
    except ValueError as exc:  # a number with more digits than Python reads
        raise _unusable(name, "not usable TOML: a number has too many digits") from exc


def text_in(path: Path, name: str, sights: Sights) -> str:
    """Read the file *path*, which messages call *name*, and note it. Raises ConfigError with one problem."""
    sights.look(path)
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise _unusable(name, "there is no such file") from None
    except IsADirectoryError:
        raise _unusable(name, "expected a file, found a directory") from None
    except OSError as exc:
        raise _unusable(name, f"cannot be read: {exc.strerror}") from exc
    except ValueError:
        raise _unusable(name, "cannot be read: no file name holds NUL") from None
    if len(content) > _LARGEST:
        raise _unusable(name, "larger than 32 MiB")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _unusable(name, "expected UTF-8, found UTF-16", 1)
    if content.startswith(b"\xef\xbb\xbf"):
        raise _unusable(name, "begins with a byte order mark: save it as UTF-8 without one", 1)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise _unusable(name, f"expected UTF-8, found the byte 0x{content[exc.start]:02x}", line) from None


def _unusable(name: str, message: str, line: int | None = None) -> ConfigError:
    return ConfigError([Problem(name, line, "", message)])
