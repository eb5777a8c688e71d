"""Local checks that the configs of this directory name; most break the contract in one way."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs

from monitor.api import Check, Fact, Message, Metric, Probe, Sink, Verdict, check_option

if TYPE_CHECKING:
    from datetime import datetime  # noqa: TC004 - the mistake that `Hidden` is to show


@attrs.frozen(kw_only=True)
class Good(Check):
    """A check that keeps the contract."""

    url: str = check_option(default="", doc="anything")

    async def probe(self, probe: Probe) -> Verdict:
        return Verdict.up()


class NotACheck:
    pass


class NotAttrs(Check):
    url: str = ""


class Colour(enum.StrEnum):
    RED = "red"


@attrs.frozen(kw_only=True)
class Unfillable(Check):
    colours: list[Colour] | None = None


@attrs.frozen(kw_only=True)
class Taken(Check):
    timeout: str = "5s"


@attrs.frozen(kw_only=True)
class Hidden(Check):
    since: datetime | None = None


@attrs.frozen(kw_only=True)
class Paper(Sink):
    """A sink that keeps the contract."""

    colour: Literal["red", "blue"] = "blue"

    async def send(self, message: Message) -> None:
        pass


@attrs.frozen(kw_only=True)
class Dashed(Check):
    facts: ClassVar = {"queue-depth": Fact(0, "how many wait")}


@attrs.frozen(kw_only=True)
class Reserved(Check):
    facts: ClassVar = {"latency": Fact(0.1, "of the queue")}


@attrs.frozen(kw_only=True)
class Bare(Check):
    facts: ClassVar = {"depth": 0}


@attrs.frozen(kw_only=True)
class Measured(Check):
    facts: ClassVar = {"depth": Fact(0, "depth", metrics=(Metric("queue-depth", "How deep."),))}


@attrs.frozen(kw_only=True)
class Phased(Check):
    phases_metric: ClassVar[str] = "monitor_phases"


def _even(_: object, attribute: attrs.Attribute[int], value: int) -> None:
    if value % 2:
        raise ValueError("expected an even number")


@attrs.frozen(kw_only=True)
class Picky(Check):
    """A check with the validators of attrs, of its own, and of its constructor."""

    even: int = attrs.field(validator=_even)
    small: int = attrs.field(validator=attrs.validators.lt(10))
    neither: dict[str, list[int]] = attrs.field(factory=dict)
    pair: tuple[int, str] = (1, "a")


@attrs.frozen(kw_only=True)
class Broken(Check):
    """A check whose constructor has a bug."""

    anything: Any = None

    def __attrs_post_init__(self) -> None:
        raise KeyError("oops")
