"""Syntax errors of CEL in words: the library reports every token its parser would have liked."""

from __future__ import annotations

import re

from monitor.core.cel_values import shortened
from monitor.core.text import printable

_SYNTAX = re.compile(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?([^\n]*)")
_UNEXPECTED = re.compile(r"(?:mismatched|extraneous|no viable alternative at) input '(.*?)'(?: expecting|$)")
_MISSING = re.compile(r"missing '(.*?)' at '(.*)'")
_UNREADABLE = re.compile(r"token recognition error at: '(.*)")
_INSTEAD = {
    "=": "==",
    "&": "&&",
    "|": "||",
    "and": "&&",
    "or": "||",
    "AND": "&&",
    "OR": "||",
    **dict.fromkeys(("ms", "s", "m", "h", "d"), "duration('5s')"),
}


def syntax_error(text: str) -> str:
    """One sentence for the library's report, which lists every token it knows."""
    for line, column, what in _SYNTAX.findall(text):
        if what.startswith(("Incomplete", "No `")):  # the parser on its own state; what is wrong follows
            continue
        where = f"column {column}" if line == "1" else f"line {line}, column {column}"
        return f"syntax error at {where}: {_explained(what)}"
    return "the expression is not valid text"


def _explained(what: str) -> str:  # noqa: PLR0911 - one line for each kind of report
    if "Recursion limit" in what:
        return "it is nested too deeply"
    if match := _MISSING.search(what):
        return f"{match[1]} is missing " + ("at the end" if match[2] == "<EOF>" else f"before {match[2]}")
    if match := _UNEXPECTED.search(what):
        return "something is missing at the end" if match[1] == "<EOF>" else _unexpected(match[1])
    if match := _UNREADABLE.search(what):
        token = match[1].removesuffix("'") if len(match[1]) > 1 else match[1]
        if token[:1] in {"'", '"'}:
            return "this text is not closed, or holds an escape that CEL does not know"
        return _unexpected(token.strip())
    if what.startswith("reserved identifier: "):
        return f"{what.removeprefix('reserved identifier: ')} is a reserved word"
    if "has() macro" in what:
        return "has() takes a field, such as has(json.db); for a key that is no name write 'x-a' in headers"
    if "simple name" in what:
        return "the variable must be a simple name such as x"
    if "literal" in what:
        return "this number is too large"
    return shortened(printable(what), 100)


def _unexpected(token: str) -> str:
    instead = f", write {_INSTEAD[token]}" if token in _INSTEAD else ""
    return f"unexpected {printable(shortened(token, 40))}{instead}"
