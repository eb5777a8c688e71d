"""From a path in a config (`endpoint`, 1, `timeout`) to its line. Only for error messages: it parses again."""

from __future__ import annotations

import functools
import re
import tomllib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

Path = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_HEADER = re.compile(r"\s*\[\[?([^\[\]]+)\]\]?\s*(?:#.*)?")
_DEEPEST = 64  # the parser with positions overflows the stack on what is nested without end


def text_of(path: Path) -> str:
    """`endpoint[1].headers."a b"`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + (step if _BARE.fullmatch(step) else f'"{step}"')
    return text


class Positions:
    """The lines of one file; *text* is TOML that has been parsed well into *tree*."""

    def __init__(self, text: str, tree: dict[str, Any]) -> None:
        """Parse only when somebody asks."""
        self._text = text
        self._tree = tree
        self._lines = text.split("\n")  # splitlines() knows more ends of lines than TOML

    def line(self, path: Path) -> int | None:
        """The line of *path*, or of its nearest parent that has one."""
        node: Any = self._nodes
        line: int | None = None
        for depth, step in enumerate(path):
            inside = node["value"] if _has_position(node) else node
            try:
                node = inside[step]
            except (KeyError, IndexError, TypeError):  # it is missing, or stands in what is not what it should be
                break
            line = _line(node) or self._header(path[: depth + 1], after=line or 0) or line
        return line

    @functools.cached_property
    def _nodes(self) -> dict[str, Any]:
        import toml_rs  # noqa: PLC0415 - only mistakes need it

        if deeper(self._tree, _DEEPEST):
            return {}
        try:
            return dict(toml_rs.load_with_metadata(self._text, toml_version="1.0.0").meta["nodes"])
        except ValueError:  # tomllib took it: then no line is better than no message
            return {}

    @functools.cached_property
    def _headers(self) -> list[tuple[int, Path]]:
        """Where tables begin: the parser with positions knows it only of arrays of tables."""
        found = []
        for number, line in enumerate(self._lines, start=1):
            if match := _HEADER.fullmatch(line):
                found.append((number, _keys(match[1])))
        return found

    def _header(self, path: Path, after: int) -> int | None:
        keys = tuple(step for step in path if isinstance(step, str))
        for line, header in self._headers:
            if line >= after and header[: len(keys)] == keys and not self._in_a_text(max(after - 1, 0), line - 1):
                return line
        return None

    def _in_a_text(self, begin: int, end: int) -> bool:
        """Does what looks like a header in line *end* stand in a text of more lines? *begin* is one for sure."""
        try:
            tomllib.loads("\n".join(self._lines[begin:end]))
        except tomllib.TOMLDecodeError:
            return True
        return False


def _has_position(node: Any) -> bool:
    # In a table, what stands under these words would be a table itself.
    return isinstance(node, dict) and any(isinstance(node.get(key), int | tuple) for key in ("key_line", "value_line"))


def _line(node: Any) -> int | None:
    if not _has_position(node):
        return None
    line = node["key_line"] if "key_line" in node else node["value_line"]
    return int(line[0] if isinstance(line, tuple) else line)


def _keys(header: str) -> Path:
    try:
        table: Any = tomllib.loads(f"[{header}]")
    except tomllib.TOMLDecodeError:  # a line of a text that looks like a header
        return ()
    keys = []
    while table:
        key, table = next(iter(table.items()))
        keys.append(key)
    return tuple(keys)


def deeper(tree: Any, limit: int) -> bool:
    """Are tables and arrays nested more than *limit* deep in *tree*?"""
    level: Sequence[Any] = [tree]
    for _ in range(limit):
        level = [
            child
            for each in level
            if isinstance(each, dict | list)
            for child in (each.values() if isinstance(each, dict) else each)
        ]
    return bool(level)
