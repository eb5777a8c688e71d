"""What was inserted from the environment or a file, and how to keep it out of everything people see."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from monitor.core.concealing import written

if TYPE_CHECKING:
    from collections.abc import Iterable

_MASK = "***"
_WHOLE_WORD_BELOW = 6  # a short value such as a port is masked only where it stands alone
_PIECE = 8  # characters in a row that a message may not share with a value


class Masker:
    """Replaces every remembered value in a text by `***`, also where it stands encoded."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._pieces: set[str] | None = None

    def remember(self, value: str) -> None:
        """Mask *value* from now on; the empty string is no secret."""
        if value.strip():
            self._values.update(written(value))
            self._pattern = self._pieces = None

    def __or__(self, other: Masker) -> Masker:
        """One that masks what either does."""
        both = Masker()
        both._values = self._values | other._values
        return both

    def within(self, data: bytes) -> Masker:
        """One that masks of all values those that stand in *data*, and knows of no other."""
        own = Masker()
        for value in self._values:
            if value.encode("utf-8", "surrogatepass") in data:
                own.remember(value)
        return own

    def __bool__(self) -> bool:
        """Is there anything to mask?"""
        return bool(self._values)

    def __call__(self, text: str) -> str:
        """Mask *text*."""
        if not self._values:
            return text
        if self._pattern is None:
            self._pattern = re.compile(_any_of(self._values))
        return self._pattern.sub(_MASK, text)

    def thoroughly(self, text: str) -> str:
        """Mask *text*, and every longer piece of a value that stands in it, whatever its case.

        For messages about a value that is wrong: they show it shortened, escaped, or only the part that is wrong.
        """
        text = self(text)
        if self._pieces is None:
            self._pieces = {
                folded[start : start + _PIECE]
                for value in self._values
                for folded in [_folded(value.rpartition("://")[2])]  # a scheme is no secret, and in many messages
                for start in range(len(folded) - _PIECE + 1)
            }
        folded = _folded(text)
        hidden = {
            at
            for start in range(len(text) - _PIECE + 1)
            if folded[start : start + _PIECE] in self._pieces
            for at in range(start, start + _PIECE)
        }
        shown = (each if at not in hidden else "" if at - 1 in hidden else _MASK for at, each in enumerate(text))
        return "".join(shown)


def _folded(text: str) -> str:
    return "".join(each.lower()[0] for each in text)  # as many characters as before


def _any_of(values: Iterable[str]) -> str:
    """A pattern of *values*: longest first, as one that contains another must go as a whole.

    By their first character: of hundreds only a few are then tried at each place of a text.
    """
    ordered = sorted(values, key=lambda value: (-len(value), value))
    long = [value for value in ordered if len(value) >= _WHOLE_WORD_BELOW]
    heads: dict[str, list[str]] = {value[0]: [] for value in long}
    for value in long:
        heads[value[0]].append(re.escape(value[1:]))
    groups = [f"{re.escape(head)}(?:{'|'.join(tails)})" for head, tails in heads.items()]
    return "|".join([*groups, *map(_matching, ordered[len(long) :])])


def _matching(value: str) -> str:
    escaped = re.escape(value)
    return rf"(?<![A-Za-z0-9]){escaped}(?![A-Za-z0-9])" if len(value) < _WHOLE_WORD_BELOW else escaped
