"""What was inserted from the environment or a file, and how to keep it out of everything people see."""

from __future__ import annotations

import re
from urllib.parse import quote, quote_plus

_MASK = "***"
_WHOLE_WORD_BELOW = 6  # a short value such as a port is masked only where it stands alone


class Masker:
    """Replaces every remembered value in a text by `***`, also where it stands percent-encoded."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def remember(self, value: str) -> None:
        """Mask *value* from now on; the empty string is no secret."""
        if value.strip():
            self._values.update({value, quote(value, safe=""), quote(value), quote_plus(value)})
            self._pattern = None

    def __or__(self, other: Masker) -> Masker:
        """One that masks what either does."""
        both = Masker()
        both._values = self._values | other._values
        return both

    def __call__(self, text: str) -> str:
        """Mask *text*."""
        if not self._values:
            return text
        if self._pattern is None:
            # Longest first: a value that contains another must go as a whole.
            ordered = sorted(self._values, key=lambda value: (-len(value), value))
            self._pattern = re.compile("|".join(map(_matching, ordered)))
        return self._pattern.sub(_MASK, text)


def _matching(value: str) -> str:
    escaped = re.escape(value)
    return rf"(?<![A-Za-z0-9]){escaped}(?![A-Za-z0-9])" if len(value) < _WHOLE_WORD_BELOW else escaped
