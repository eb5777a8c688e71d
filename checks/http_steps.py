"""The steps of an http visit, as a config says them: each a request, with what is expected of its answer and what of
it a later step may use. For the check `http`.

`{{name}}` in a later step stands for what was saved as `name`.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs

from checks.options import headers, json_value, method
from monitor.api import (
    ExpectationError,
    Expectations,
    Expression,
    Fact,
    OptionError,
    check_option,
    compile_all,
    compile_value,
    named_secrets,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MOST = 20
STEP_FACTS: Mapping[str, Fact] = {
    "cookies": Fact({"session": "abc"}, "with steps: the cookies that go to where the step went, by name")
}
_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}", re.ASCII)
_NAME = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)


def _url(text: str) -> None:
    if re.match(r"https?://[^/?#]*\{\{", text):
        raise ValueError("expected no {{name}} in the host of a URL: a server would say where to go")
    text = _PLACEHOLDER.sub("x", text)
    if not text.isprintable() or " " in text or not re.match(r"https?://[^/?#]|/(?!/)|\?", text):
        raise ValueError(f'expected a URL or a path such as "/login", got {shown(text)}')


@attrs.frozen(kw_only=True)
class Between:
    """A piece of the body, between two texts that stand there."""

    after: str = check_option(doc="what stands before it")
    before: str = check_option(doc="what stands after it")

    def __attrs_post_init__(self) -> None:
        if not self.after or not self.before:
            raise ValueError("expected after and before not to be empty")


@attrs.frozen(kw_only=True)
class Request:
    """One step: a request, and what is expected of its answer."""

    name: str | None = check_option(default=None, doc="what it is called in messages")
    url: str | None = check_option(default=None, doc="a path, or a URL; default: the endpoint's", validator=_url)
    method: str | None = check_option(default=None, doc="default: GET, with something to send POST", validator=method)
    headers: dict[str, str] = check_option(factory=dict, doc="headers to send", validator=headers, secret=named_secrets)
    body: str | None = check_option(default=None, doc="body to send")
    json: Any = check_option(default=None, doc="body to send, as JSON", validator=json_value)
    form: dict[str, str] | None = check_option(default=None, doc="body to send, as of a form", secret=named_secrets)
    follow_redirects: bool | None = check_option(default=None, doc="follow redirects; default: as the endpoint does")
    expect: tuple[Expression, ...] = check_option(default=(), doc="expressions over the facts of its answer")
    save: dict[str, Expression | Between] = check_option(
        factory=dict, doc="what later steps may use: expressions, or { after, before } for a piece of the body"
    )

    def __attrs_post_init__(self) -> None:
        if sum(each is not None for each in (self.body, self.json, self.form)) > 1:
            raise ValueError("expected at most one of body, json and form")
        for name in self.save:
            if not _NAME.fullmatch(name):
                raise OptionError("save", f"expected a name of letters, digits and _, got {shown(name)}")

    @property
    def verb(self) -> str:
        """The method, said or not."""
        sends = self.body is not None or self.json is not None or self.form is not None
        return self.method or ("POST" if sends else "GET")


@attrs.frozen
class Step:
    """A request, and its expressions compiled."""

    request: Request
    expect: Expectations
    save: Mapping[str, Any]  # an expression each, or a `Between`
    wanted: frozenset[str]  # the facts that they mention

    def facts(
        self, found: Mapping[str, Any], before: Mapping[str, float], phases: Mapping[str, float], seconds: float
    ) -> dict[str, Any]:
        """What its expressions may mention: *found*, and how long it alone took, in *seconds* and by phase."""
        own = {name: spent - before.get(name, 0.0) for name, spent in phases.items()}
        return {
            **found,
            "latency": timedelta(seconds=seconds),
            "phases": {name: timedelta(seconds=spent) for name, spent in own.items() if spent > 0},
        }


def compiled(requests: tuple[Request, ...], facts: Mapping[str, Fact]) -> tuple[Step, ...]:
    """Every step with its expressions over *facts*. Raises OptionError, or a group of them: all that cannot work."""
    if len(requests) > MOST:
        raise OptionError("steps", f"expected at most {MOST} steps, got {len(requests)}")
    steps, saved, wrong = [], set[str](), list[OptionError]()
    for index, request in enumerate(requests):
        for option, text in _texts(request):
            for name in _PLACEHOLDER.findall(text):
                if name not in saved:
                    known = f"; saved are {', '.join(sorted(saved))}" if saved else ""
                    wrong.append(OptionError(f"steps[{index}].{option}", f"no step before saves {shown(name)}{known}"))
        try:
            steps.append(_step(request, index, facts))
        except OptionError as exc:
            wrong.append(exc)
        saved |= request.save.keys()
    if wrong:
        raise wrong[0] if len(wrong) == 1 else ExceptionGroup("steps", wrong)
    return tuple(steps)


def _step(request: Request, index: int, facts: Mapping[str, Fact]) -> Step:
    try:
        expect = compile_all(request.expect, facts)
    except ExpectationError as exc:
        raise OptionError(f"steps[{index}].expect[{exc.index}]", str(exc)) from exc
    save: dict[str, Any] = {}
    wanted = set(expect.names)
    for name, what in request.save.items():
        if isinstance(what, Between):
            save[name] = what
            wanted.add("body")
            continue
        try:
            save[name] = expression = compile_value(what, facts)
        except ExpectationError as exc:
            raise OptionError(f"steps[{index}].save.{name}", str(exc)) from exc
        wanted |= expression.needs.keys()
    return Step(request, expect, save, frozenset(wanted))


def filled(value: Any, saved: Mapping[str, str], quote: Callable[[str], str] = str) -> Any:
    """*value* with what was saved in the place of `{{name}}`, in every text of it, each *quote*d."""
    match value:
        case str():
            return _PLACEHOLDER.sub(lambda found: quote(saved[found[1]]), value)
        case dict():
            return {filled(key, saved): filled(each, saved, quote) for key, each in value.items()}
        case list():
            return [filled(each, saved, quote) for each in value]
        case _:
            return value


def _texts(request: Request) -> Iterator[tuple[str, str]]:
    """Every text of *request* that is filled in, with its option."""
    for option in ("url", "headers", "body", "json", "form"):
        for text in _in(getattr(request, option)):
            yield option, text


def _in(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for key, each in value.items():
                yield key
                yield from _in(each)
        case list():
            for each in value:
                yield from _in(each)
