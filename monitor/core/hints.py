"""Hints for misspelt words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`, did you mean "timeout"?`, or nothing where no known word is near *word*."""
    import difflib  # noqa: PLC0415 - only mistakes need it

    by_case = {each.casefold(): each for each in known}
    close = difflib.get_close_matches(word.casefold()[:100], by_case, n=1)
    return f', did you mean "{by_case[close[0]]}"?' if close else ""
