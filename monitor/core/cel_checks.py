"""What an expression may not say: everything that can be told before the first probe.

The library compiles nearly any text that parses (`status < 'x'`, `foo(1)`, `duration('14d')`), and fails only when it
is evaluated. Each function here refuses one kind of mistake with a sentence for the person who wrote it.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from monitor.core import cel
from monitor.core.cel import EITHER, FUNCTIONS, MACROS, METHODS, is_root
from monitor.core.cel_syntax import syntax_error
from monitor.core.cel_values import find, shortened
from monitor.core.hints import did_you_mean
from monitor.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from monitor.core.cel import Outline, Token
    from monitor.core.facts import Fact

LONGEST = 2000  # characters of one expression
_KNOWN = sorted(METHODS | FUNCTIONS | EITHER | MACROS - {"existsOne"} | {"has"})

_DURATION = re.compile(r"-?(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h))+")
_WITH_DAYS = re.compile(r"-?(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d))+")
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_CENTURY = 100 * 365 * 86_400_000

_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    bytes: "bytes",
    timedelta: "a duration",
    list: "a list",
    dict: "a map",
}


class RefusalError(ValueError):
    """An expression that cannot be used; the text is one sentence."""


def compiled(source: str) -> Any:
    """Compile *source* with the library."""
    if not source.strip():
        raise RefusalError("the expression is empty")
    if len(source) > LONGEST:
        raise RefusalError(f"the expression is {len(source)} characters long, at most {LONGEST} are allowed")
    try:
        return cel.library().compile(source)
    except ValueError as exc:
        raise RefusalError(syntax_error(str(exc))) from exc


def check(outline: Outline, facts: Mapping[str, Fact], *, declared: bool, truth: bool = True) -> None:
    """Refuse what cannot work. *facts* are those known by name; not *declared*: there may be others.

    It must be true or false, which is *truth*, or else a text or a number.
    """
    _check_shape(outline, facts)
    _check_functions(outline)
    if declared:
        _check_names(outline, facts)
    _check_literals(outline)
    samples = {name: fact.sample for name, fact in facts.items() if fact.sample is not None}
    for piece in _pieces(outline.tokens) if truth else (outline.tokens,):
        _check_on_samples(piece, outline, samples, truth=truth)


def _check_shape(outline: Outline, facts: Collection[str]) -> None:
    if len(outline.macros) > 1:
        used = ", ".join(f"{macro.name}()" for macro in outline.macros)
        raise RefusalError(f"one expression may hold one macro, this one has {used}; write several expressions")
    for macro in outline.macros:
        taken = macro.variable in facts or any(
            token.text == macro.variable and is_root(outline.tokens, index)
            for index, token in enumerate(outline.tokens)
            if not macro.first < index < macro.last
        )
        if taken:
            raise RefusalError(f"the variable of {macro.name}() needs a name of its own, {macro.variable} is a fact")
    for token, after in zip(outline.tokens, outline.tokens[1:], strict=False):
        if token.kind == "name" and after.text == "{":
            raise RefusalError(f"there are no message types here, such as {token.text}")


def _check_functions(outline: Outline) -> None:
    macros = {macro.name for macro in outline.macros}
    for call in outline.calls:
        name = call.name
        if name in MACROS and name not in macros:
            raise RefusalError(f"{name}() is written list.{name}(x, x > 0): a list, a variable, what holds for it")
        if name == "has" and call.method:
            raise RefusalError("has() is written has(json.db)")
        if name in METHODS and not call.method:
            raise RefusalError(f"{name}() is written after a dot, such as body.{name}(…)")
        if name in FUNCTIONS and call.method:
            raise RefusalError(f"{name}() is written {name}(x), not x.{name}()")
        if name not in _KNOWN and name not in MACROS:
            raise RefusalError(f'unknown function "{name}"{did_you_mean(name, _KNOWN)} (known: {", ".join(_KNOWN)})')


def _check_names(outline: Outline, facts: Collection[str]) -> None:
    for name in sorted(outline.names):
        if name not in facts:
            known = ", ".join(sorted(facts))
            raise RefusalError(f'unknown fact "{name}"{did_you_mean(name, facts)} (known: {known})')


def _check_literals(outline: Outline) -> None:
    for call in outline.calls:
        if call.literal is None:
            continue
        match call.name:
            case "duration":
                _check_duration(str(cel.evaluate(call.literal)))
            case "matches":
                _check_pattern(call.literal)
            case "timestamp":
                expected = "a time such as '2026-11-22T15:00:00Z'"
                _check_conversion(f"timestamp({call.literal})", expected)
            case "int" | "uint" | "double":
                _check_conversion(f"{call.name}({call.literal})", "a number")


def _check_duration(text: str) -> None:
    # The library reads "1m30" as one minute, "1e9s" and "nans" as something, and a century too long as the longest.
    shown = printable(shortened(text, 40))
    is_known = _WITH_DAYS.fullmatch(text)
    milliseconds = sum(float(number) * _MILLISECONDS[unit] for number, unit in _PART.findall(text)) if is_known else 0
    if milliseconds >= _CENTURY:
        raise RefusalError(f"duration('{shown}') is longer than a century")
    if _DURATION.fullmatch(text):
        return
    if is_known:
        raise RefusalError(f"duration('{shown}') has no days in CEL, write duration('{_in_hours(milliseconds)}')")
    raise RefusalError(f"expected a duration such as duration('5s') or duration('1h30m'), got duration('{shown}')")


def _in_hours(milliseconds: float) -> str:
    parts, rest = [], round(milliseconds)
    for unit in ("h", "m", "s", "ms"):
        whole, rest = divmod(rest, _MILLISECONDS[unit])
        if whole:
            parts.append(f"{whole}{unit}")
    return "".join(parts) or "0s"


def _check_pattern(literal: str) -> None:
    try:
        cel.evaluate(f"''.matches({literal})")
    except RuntimeError as exc:
        found = re.search(r"error: ([^\n]+?)\. Check function", str(exc))
        why = found[1] if found else "it is too large"
        raise RefusalError(f"{shortened(literal, 60)} is not a regular expression: {why}") from exc


def _check_conversion(source: str, expected: str) -> None:
    try:
        cel.evaluate(source)
    except (RuntimeError, ValueError, ArithmeticError) as exc:
        raise RefusalError(f"{shortened(source, 80)} is not {expected}") from exc


def _pieces(tokens: Sequence[Token]) -> list[Sequence[Token]]:
    """The operands of `&&` and `||`: each must be true or false, and none may hide behind a short cut."""
    while len(tokens) > 2 and tokens[0].text == "(" and cel.closing(tokens, 0) == len(tokens) - 1:
        tokens = tokens[1:-1]
    pieces: list[Sequence[Token]] = []
    begin = index = 0
    while index < len(tokens):
        text = tokens[index].text if tokens[index].kind == "mark" else ""
        if text == "?":  # a condition's branches belong together
            return [tokens]
        if text in {"(", "[", "{"}:
            index = cel.closing(tokens, index)
        elif text in {"&&", "||"}:
            pieces.append(tokens[begin:index])
            begin = index + 1
        index += 1
    if not pieces:
        return [tokens]
    return [part for piece in [*pieces, tokens[begin:]] for part in _pieces(piece)]


def _check_on_samples(piece: Sequence[Token], outline: Outline, samples: Mapping[str, Any], *, truth: bool) -> None:
    """Evaluate *piece* once: what fails by its types alone will always fail."""
    text = outline.source[piece[0].start : piece[-1].end]
    names = {token.text for index, token in enumerate(piece) if token.text in outline.names and is_root(piece, index)}
    if not names <= samples.keys():
        return  # it looks at what may be of any type
    used = {name: samples[name] for name in sorted(names)}
    try:
        if _compares_with_literal(piece):
            # `status == 'x'` is simply false for ever; `<` knows better.
            _evaluated(f"{piece[0].text} < {piece[2].text}", used)
        value = _evaluated(text, used)
    except _Misfit as exc:
        raise RefusalError(f"{shortened(text, 200)} cannot be evaluated: {_types(piece, outline, used)}") from exc
    except _Depends as exc:
        if not names:
            raise RefusalError(f"{shortened(text, 200)} can never be evaluated") from exc
        return
    if not isinstance(value, bool if truth else str | int | float):
        kind = _KINDS.get(type(value), "something else")
        wanted = "something that is true or false" if truth else "a text or a number"
        raise RefusalError(f"{shortened(text, 200)} is {kind}, expected {wanted}")


class _Misfit(Exception):  # noqa: N818 - not an error of ours, an answer
    """The types do not fit."""


class _Depends(Exception):  # noqa: N818 - as above
    """It failed on the samples; on other values it may not."""


def _evaluated(source: str, samples: Mapping[str, Any]) -> Any:
    library = cel.library()
    try:
        return library.compile(source).execute(library.Context(dict(samples)))
    except TypeError as exc:
        raise _Misfit from exc
    except RuntimeError as exc:
        # The library says of a known function on the wrong type that it does not exist.
        raise (_Depends if str(exc).startswith("Function ") else _Misfit) from exc
    except (LookupError, ValueError, ArithmeticError) as exc:
        raise _Depends from exc


def _compares_with_literal(piece: Sequence[Token]) -> bool:
    if len(piece) != 3 or piece[1].text not in {"==", "!="}:
        return False
    kinds = {piece[0].kind, piece[2].kind}
    is_bytes = any(token.kind == "text" and token.text[0] in "bB" for token in piece)
    is_word = any(token.text in {"true", "false", "null"} for token in piece)
    return not is_bytes and not is_word and kinds in ({"name", "text"}, {"name", "number"})


def _types(piece: Sequence[Token], outline: Outline, samples: Mapping[str, Any]) -> str:
    """Say of what type everything is that *piece* looks at, as far as the samples tell."""
    text = outline.source[piece[0].start : piece[-1].end]
    found = {
        each.text: value
        for each in outline.selectors
        for value, steps in (find(samples, each.path),)
        if each.text in text and steps == len(each.path)
    }
    if not found:
        return "the types do not fit"
    kinds = ", ".join(f"{name} is {_KINDS.get(type(value), 'something else')}" for name, value in found.items())
    has_duration = any(isinstance(value, timedelta) for value in found.values())
    return kinds + (", compare it with duration('5s')" if has_duration and "duration(" not in text else "")
