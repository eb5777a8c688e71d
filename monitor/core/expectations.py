"""Expectations: CEL expressions over facts, compiled and checked once, evaluated bounded.

An expression that holds costs a few microseconds: the library gets only those parts of the facts that are
mentioned. One that does not hold is looked at again for its message. Whatever the facts are, the answer is a
message and never an exception.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs

from monitor.core import cel, cel_checks
from monitor.core.cel_values import UnusableError, find, needs, pruned, shortened, shown, weight
from monitor.core.facts import Fact
from monitor.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from monitor.core.cel import Macro, Selector
    from monitor.core.cel_values import Needs

MOST_WORK = 1_000_000  # steps of a macro, as the library takes them: about 0.4 s at worst
_LONGEST_MESSAGE = 500
_LONGEST_SOURCE = 200

# What every expression may mention, whatever the check declares.
_ALWAYS = {
    "latency": Fact(timedelta(milliseconds=120), "how long the probe took"),
    "phases": Fact(
        dict.fromkeys(
            ("resolve", "connect", "proxy", "tls", "auth", "processing", "transfer", "handshake", "dialogue", "close"),
            timedelta(milliseconds=20),
        ),
        "how long each phase took",
    ),
}

# All that the library is known to raise; RecursionError is a RuntimeError, a UnicodeError a ValueError.
_EVALUATION_ERRORS = (LookupError, TypeError, ValueError, RuntimeError, ArithmeticError)


class ExpectationError(ValueError):
    """An expression that cannot be used; *index* says which of the list."""

    def __init__(self, index: int, message: str) -> None:
        """Keep both."""
        super().__init__(message)
        self.index = index


@attrs.frozen(kw_only=True)
class Expression:
    """One compiled expression, and what its message shows."""

    source: str
    program: Any
    selectors: tuple[Selector, ...]
    macro: Macro | None
    needs: Needs

    def complaint(self, facts: Mapping[str, Any], context: Any) -> str | None:
        """Say why it does not hold for *facts*, or None; *context* may be None: then it makes its own."""
        try:
            if context is None:
                context = _context(self.needs, facts)
            if self.macro is not None:
                _refuse_long_work(self.macro, self.selectors, facts)
            result = self.program.execute(context)
        except UnusableError as exc:
            return self._message(facts, str(exc), important=True)
        except _EVALUATION_ERRORS as exc:
            return self._message(facts, _note(exc))
        if result is True:
            return None
        return self._message(facts, "" if result is False else "not true or false")

    def value(self, facts: Mapping[str, Any]) -> Any:
        """What it comes to for *facts*; raises ValueError, one sentence, where that cannot be told."""
        try:
            context = _context(self.needs, facts)
            if self.macro is not None:
                _refuse_long_work(self.macro, self.selectors, facts)
            return self.program.execute(context)
        except UnusableError as exc:
            raise ValueError(self._message(facts, str(exc), important=True)) from exc
        except _EVALUATION_ERRORS as exc:
            raise ValueError(self._message(facts, _note(exc))) from exc

    def _message(self, facts: Mapping[str, Any], note: str, *, important: bool = False) -> str:
        present, absent = [], []
        for selector in self.selectors:
            value, steps = find(facts, selector.path)
            if steps == len(selector.path):
                present.append(f"{shortened(selector.text, 100)} = {shown(value)}")
            elif not (selector.denied and steps == len(selector.path) - 1):
                absent.append(shortened(selector.prefixes[steps], 100))
        parts = [f"expected {shortened(' '.join(self.source.split()), _LONGEST_SOURCE)}"]
        if absent:  # first, for it is the cause, and a long message is cut at its end
            names = list(dict.fromkeys(absent))
            parts.append(f"but {' and '.join(names)} {'is' if len(names) == 1 else 'are'} absent")
        if present:
            parts.append(f"got {', '.join(present)}")
        end = f" ({note})" if note and (important or not absent) else ""
        return shortened(printable(", ".join(parts)), _LONGEST_MESSAGE - len(end)) + end


@attrs.frozen
class Expectations:
    """A list of compiled expressions, made by `compile_all`; compares by their sources."""

    sources: tuple[str, ...] = ()
    names: frozenset[str] = attrs.field(default=frozenset(), eq=False)  # the facts they mention
    _expressions: tuple[Expression, ...] = attrs.field(default=(), eq=False, repr=False)
    _needs: Needs = attrs.field(factory=dict, eq=False, repr=False)

    def first_false(self, facts: Mapping[str, Any]) -> str | None:
        """Return the message of the first expression that does not hold, or None; never raises.

        *facts* are values as a check sets them: int, float, str, bool, bytes, timedelta, list, dict. A fact that is
        None is absent. The message is one line of at most 500 characters.
        """
        if not self._expressions:
            return None
        try:
            context = _context(self._needs, facts)
        except UnusableError:
            context = None  # one fact is unusable; expressions that do not mention it still count
        for expression in self._expressions:
            if message := expression.complaint(facts, context):
                return message
        return None

    def without(self, facts: Collection[str]) -> Expectations:
        """Those of them that mention none of *facts*."""
        if self.names.isdisjoint(facts):
            return self
        left = [each for each in self._expressions if not any(name in each.needs for name in facts)]
        return Expectations(
            sources=tuple(each.source for each in left),
            names=self.names.difference(facts),
            expressions=tuple(left),
            needs=needs(selector.path for each in left for selector in each.selectors),
        )


NO_EXPECTATIONS = Expectations()


def compile_value(source: str, facts: Mapping[str, Fact] | None) -> Expression:
    """Compile *source*, whose `value` is a text or a number. Raises ExpectationError; see `compile_all`."""
    try:
        return _compiled(source, facts, truth=False)[0]
    except cel_checks.RefusalError as exc:
        raise ExpectationError(0, str(exc)) from exc


def compile_all(sources: Sequence[str], facts: Mapping[str, Fact] | None, *, timed: bool = True) -> Expectations:
    """Compile *sources*, checked against the declared *facts* (None: the check declares none, any name may be).

    `latency` and `phases` are known as well, where what is looked at is *timed*. Raises ExpectationError for the first
    source that cannot be used.
    """
    expressions, names = [], set[str]()
    for index, source in enumerate(sources):
        try:
            expression, mentioned = _compiled(source, facts, timed=timed)
        except cel_checks.RefusalError as exc:
            raise ExpectationError(index, str(exc)) from exc
        expressions.append(expression)
        names |= mentioned
    return Expectations(
        sources=tuple(sources),
        names=frozenset(names),
        expressions=tuple(expressions),
        needs=needs(selector.path for each in expressions for selector in each.selectors),
    )


def _compiled(
    source: str, facts: Mapping[str, Fact] | None, *, truth: bool = True, timed: bool = True
) -> tuple[Expression, frozenset[str]]:
    program = cel_checks.compiled(source)
    known = {**(facts or {}), **(_ALWAYS if timed else {})}
    outline = cel.outline(source, program, known)
    cel_checks.check(outline, known, declared=facts is not None, truth=truth)
    expression = Expression(
        source=source,
        program=program,
        selectors=outline.selectors,
        macro=outline.macros[0] if outline.macros else None,
        needs=needs(selector.path for selector in outline.selectors),
    )
    return expression, outline.names


def _context(wanted: Needs, facts: Mapping[str, Any]) -> Any:
    """Hand the *wanted* parts of the facts to the library; raises UnusableError where it cannot take one."""
    variables = {}
    for name, parts in wanted.items():
        value = facts.get(name)
        if value is None:
            continue
        value = pruned(value, parts)
        if isinstance(value, dict | list | tuple):
            try:
                weight(value)
            except UnusableError as exc:
                raise UnusableError(f"{name} {exc}") from exc
        variables[name] = value
    try:
        return cel.library().Context(variables)
    except _EVALUATION_ERRORS as exc:  # a lone surrogate, a set, a number of a thousand digits
        found = re.search(r"variable '(\w+)'", str(exc))
        name = found[1] if found else "a fact"
        raise UnusableError(f"{name} holds a value that an expression cannot take") from exc


def _refuse_long_work(macro: Macro, selectors: Sequence[Selector], facts: Mapping[str, Any]) -> None:
    """A macro visits every item; what its body looks at, or has gathered so far, is copied at every visit."""
    outside = sum(weight(find(facts, each.path)[0]) for each in selectors if each.outside)
    inside = sum(weight(find(facts, each.path)[0]) for each in selectors if each.inside)
    each_visit = 1 + inside + (outside if macro.name in cel.COLLECTING else 0)
    if outside * each_visit > MOST_WORK:
        raise UnusableError(f"too many values for {macro.name}()")


def _note(exc: BaseException) -> str:
    """Why an expression could not be evaluated, in a few words."""
    match exc:
        case KeyError() | IndexError():
            return "no such key"
        case ZeroDivisionError():
            return "division by zero"
        case ArithmeticError():
            return "a number is too large"
        case RuntimeError() if found := re.match(r"Function '(\w+)' error", str(exc)):
            return f"{found[1]}() failed"
        case _:
            return "of the wrong type"
