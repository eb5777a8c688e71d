"""CEL, the language of expectations: its library, and the outline of an expression's text.

The library compiles and evaluates; of an expression it tells only the names in it. Good messages and firm bounds
need more: which fields are looked at, which macro runs over what, which literals stand where. So a text that the
library has accepted is read once more here, token by token. What an expression may not say is in `cel_checks`.
"""

from __future__ import annotations

import functools
import re
import sys
import types
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

MACROS = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter"})
COLLECTING = frozenset({"map", "filter"})  # the library copies what they have gathered at every step
TYPES = frozenset({"bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"})
TIME_METHODS = frozenset({"getHours", "getMinutes", "getSeconds", "getMilliseconds", "getFullYear", "getMonth"})
DAY_METHODS = frozenset({"getDayOfYear", "getDayOfMonth", "getDate", "getDayOfWeek"})
METHODS = TIME_METHODS | DAY_METHODS | {"contains", "startsWith", "endsWith", "matches"}
FUNCTIONS = frozenset({"bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint"})
EITHER = frozenset({"size"})

_TOKEN = re.compile(
    r"""
      (?P<space> \s+ | //[^\n]* )
    | (?P<text> [bB]?[rR](?: \"{3}[\s\S]*?\"{3} | '{3}[\s\S]*?'{3} | "[^"\n]*" | '[^'\n]*' )
              | [bB]?(?: \"{3}(?:\\[\s\S]|[^\\])*?\"{3} | '{3}(?:\\[\s\S]|[^\\])*?'{3}
                       | "(?:\\.|[^\\"\n])*" | '(?:\\.|[^\\'\n])*' ) )
    | (?P<number> 0[xX][0-9a-fA-F]+[uU]? | \d*\.\d+(?:[eE][+-]?\d+)? | \d+(?:[eE][+-]?\d+|[uU])? )
    | (?P<name> [A-Za-z_]\w* )
    | (?P<mark> && | \|\| | [=!<>]= | . )
    """,
    re.VERBOSE,
)
_KEYWORDS = frozenset({"true", "false", "null", "in"})


@attrs.frozen
class Token:
    """A piece of the text; *kind* is text, number, name or mark."""

    kind: str
    text: str
    start: int
    end: int


@attrs.frozen
class Selector:
    """A fact, or a field of one: `json.items[0].id` is the path `("json", "items", 0, "id")`."""

    path: tuple[str | int, ...]
    prefixes: tuple[str, ...]  # the text up to each step of the path
    outside: bool = True  # stands outside a macro's parentheses
    inside: bool = False  # … inside, where it is looked at for every item
    denied: bool = False  # … in `!has(…)`: nothing is amiss when it is absent

    @property
    def text(self) -> str:
        """As it stands in the expression."""
        return self.prefixes[-1]


@attrs.frozen
class Macro:
    """A comprehension: its name, its variable, and the indices of its parentheses' tokens."""

    name: str
    variable: str
    first: int
    last: int


@attrs.frozen
class Call:
    """A function's use; *literal* is its only argument where that is a text literal."""

    name: str
    method: bool
    literal: str | None


@attrs.frozen
class Outline:
    """What an expression says, as far as we read it."""

    source: str
    tokens: tuple[Token, ...]
    names: frozenset[str]  # the facts it mentions
    selectors: tuple[Selector, ...]
    macros: tuple[Macro, ...]
    calls: tuple[Call, ...]


@functools.cache
def library() -> Any:
    """Return the CEL library; the first call imports it.

    Its package imports a command line that costs ten times as much as the language; an empty module in its
    place keeps that out.
    """
    sys.modules.setdefault("cel.cli", types.ModuleType("cel.cli"))
    import cel  # noqa: PLC0415 - only where there is an expression

    return cel


def evaluate(source: str) -> Any:
    """Give the value of *source*, which mentions no fact; raises what the library raises."""
    return library().compile(source).execute()


def outline(source: str, program: Any, declared: Collection[str]) -> Outline:
    """Read *source*, which the library has compiled to *program*; *declared* are the facts known by name."""
    tokens = tuple(_tokens(source))
    # What the library lists as a function it did not take for a macro: `list.all(i, v, v > 0)`.
    macros = tuple(macro for macro in _macros(tokens) if macro.name not in program.functions())
    bound = {macro.variable for macro in macros}
    names = frozenset(
        name for name in program.variables() if name not in bound and (name not in TYPES or name in declared)
    )
    return Outline(
        source=source,
        tokens=tokens,
        names=names,
        selectors=_selectors(source, tokens, names, macros),
        macros=macros,
        calls=tuple(_calls(tokens)),
    )


def is_root(tokens: Sequence[Token], index: int) -> bool:
    """Is this name a variable, and not a field, a function, a message type or a keyword?"""
    token = tokens[index]
    return (
        token.kind == "name"
        and token.text not in _KEYWORDS
        and _mark(tokens, index - 1) != "."
        and _mark(tokens, index + 1) not in {"(", "{"}
    )


def _tokens(source: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(source):
        kind = str(match.lastgroup)
        if kind != "space":
            yield Token(kind, match[0], match.start(), match.end())


def _mark(tokens: Sequence[Token], index: int) -> str:
    """The mark at *index*, empty where there is none."""
    return tokens[index].text if 0 <= index < len(tokens) and tokens[index].kind == "mark" else ""


def closing(tokens: Sequence[Token], opening: int) -> int:
    """Return the index of the parenthesis that closes the one at *opening*."""
    depth = 0
    for index in range(opening, len(tokens)):
        mark = _mark(tokens, index)
        depth += (mark in {"(", "[", "{"}) - (mark in {")", "]", "}"})
        if mark and depth == 0:
            return index
    return len(tokens) - 1


def _macros(tokens: Sequence[Token]) -> Iterator[Macro]:
    for index, token in enumerate(tokens[:-3]):
        is_method = _mark(tokens, index - 1) == "." and _mark(tokens, index + 1) == "("
        if token.text in MACROS and is_method and _mark(tokens, index + 3) == ",":
            yield Macro(token.text, tokens[index + 2].text, index + 1, closing(tokens, index + 1))


def _calls(tokens: Sequence[Token]) -> Iterator[Call]:
    for index, token in enumerate(tokens):
        if token.kind == "name" and _mark(tokens, index + 1) == "(":
            literal = None
            if _mark(tokens, index + 3) == ")" and tokens[index + 2].kind == "text":
                literal = tokens[index + 2].text
            yield Call(token.text, _mark(tokens, index - 1) == ".", literal)


def _selectors(
    source: str, tokens: Sequence[Token], names: Collection[str], macros: Sequence[Macro]
) -> tuple[Selector, ...]:
    found: dict[tuple[str | int, ...], Selector] = {}
    for index, token in enumerate(tokens):
        if token.text not in names or not is_root(tokens, index):
            continue
        new = _chain(source, tokens, index)
        inside = any(macro.first < index < macro.last for macro in macros)
        new = attrs.evolve(new, inside=inside, outside=not inside, denied=_is_denied(tokens, index))
        if same := found.get(new.path):
            new = attrs.evolve(
                same,
                inside=same.inside or new.inside,
                outside=same.outside or new.outside,
                denied=same.denied or new.denied,
            )
        found[new.path] = new
    return tuple(found.values())


def _chain(source: str, tokens: Sequence[Token], index: int) -> Selector:
    """Follow `.field`, `['key']` and `[0]` from the name at *index* as far as they are constant."""
    begin = tokens[index].start
    path: list[str | int] = [tokens[index].text]
    prefixes = [tokens[index].text]
    while True:
        mark = _mark(tokens, index + 1)
        key: str | int
        if mark == "." and tokens[index + 2].kind == "name" and _mark(tokens, index + 3) != "(":
            key, index = tokens[index + 2].text, index + 2
        elif mark == "[" and _mark(tokens, index + 3) == "]" and _is_key(tokens[index + 2]):
            key, index = evaluate(tokens[index + 2].text), index + 3
        else:
            return Selector(tuple(path), tuple(prefixes))
        path.append(key)
        prefixes.append(source[begin : tokens[index].end])


def _is_key(token: Token) -> bool:
    if token.kind == "text":
        return token.text[0] not in "bB"
    return token.kind == "number" and token.text.isdecimal()


def _is_denied(tokens: Sequence[Token], index: int) -> bool:
    """Does the name at *index* begin the argument of `!has(…)`?"""
    return (
        _mark(tokens, index - 1) == "("
        and index >= 3
        and tokens[index - 2].text == "has"
        and _mark(tokens, index - 3) == "!"
    )
