"""CEL over facts: compiled and checked once, evaluated bounded. (Interface; body to follow.)"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitor.core.facts import Fact


class ExpectationError(ValueError):
    """An expression that cannot be used; *index* says which of the list."""

    def __init__(self, index: int, message: str) -> None:
        """Keep both."""
        super().__init__(message)
        self.index = index


@attrs.frozen(eq=True)
class Expectations:
    """A list of compiled expressions; compares by their sources."""

    sources: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()  # the facts they mention

    def first_false(self, facts: Mapping[str, Any]) -> str | None:
        """The message of the first expression that does not hold, or None."""
        raise NotImplementedError


def compile_all(sources: Sequence[str], facts: Mapping[str, Fact] | None) -> Expectations:
    """Compile *sources*, checked against the declared *facts* (None: the check declares none, any name may be)."""
    raise NotImplementedError
