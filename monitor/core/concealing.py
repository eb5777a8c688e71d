"""Secrets that a probe came by, such as an access token: hidden in what is told of it, like those of the config."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.core.ports import Mask

_MASK = "***"
_SHORTEST = 6  # characters: what is shorter is no secret, and hiding it would spoil every word


class Concealing:
    """See `monitor.core.ports.Mask`: hides *values*, and whatever *mask* does."""

    def __init__(self, mask: Mask | None, values: Iterable[str]) -> None:
        """Hide *values* in clear and percent-encoded; one that contains another goes as a whole."""
        forms = {form for value in values if len(value) >= _SHORTEST for form in (value, quote(value, safe=""))}
        self._mask = mask
        self._values = sorted(forms, key=lambda form: (-len(form), form))

    def __call__(self, text: str) -> str:
        """*text* with every secret in it as `***`."""
        return self._hidden(text if self._mask is None else self._mask(text))

    def thoroughly(self, text: str) -> str:
        """The same for a text that may show a secret of the config shortened or escaped."""
        return self._hidden(text if self._mask is None else self._mask.thoroughly(text))

    def _hidden(self, text: str) -> str:
        for value in self._values:
            text = text.replace(value, _MASK)
        return text
