"""Secrets that a probe came by, such as an access token: hidden in what is told of it, like those of the config."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitor.core.ports import Mask

_MASK = "***"
_SHORTEST = 6  # characters: what is shorter is no secret, and hiding it would spoil every word
_SHORTEST_BASE64 = 7
_URL_SAFE = str.maketrans("+/", "-_")


def written(value: str) -> Iterator[str]:
    """*value* in every way in which a server may repeat it: escaped, percent-encoded, within something in base64."""
    import html  # noqa: PLC0415 - for those who have a secret: every named character in a table

    raw = value.encode("utf-8", "surrogatepass")
    yield from (value, quote(raw, safe=""), quote(raw), quote_plus(raw))
    yield from (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1])
    yield from (html.escape(value), raw.decode("latin-1"))
    for before in range(3):  # bytes, of what stands before it
        text = b64encode(bytes(before) + raw).decode()
        own = text[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]  # no character that holds bits of others
        if len(own) >= _SHORTEST_BASE64:
            yield own
            yield own.translate(_URL_SAFE)


class Concealing:
    """See `monitor.core.ports.Mask`: hides *values*, and whatever *mask* does."""

    def __init__(self, mask: Mask | None, values: Iterable[str]) -> None:
        """Hide *values* in clear and encoded; one that contains another goes as a whole."""
        forms = {form for value in values if len(value) >= _SHORTEST for form in written(value)}
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
