"""What a stream can show: whether it is a terminal, in colour, which symbols, how large."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import TextIO

    Span = tuple[str, ...]
    """A text and its styles: `("down", "red", "bold")`."""

_COLOURS = {"red": 31, "green": 32, "yellow": 33, "magenta": 35, "dim": 2, "bold": 1}


@attrs.frozen(kw_only=True)
class Terminal:
    """The means of one stream."""

    live: bool = False  # lines can be redrawn
    colour: bool = False
    unicode: bool = False

    @classmethod
    def of(cls, stream: TextIO, environ: Mapping[str, str]) -> Terminal:
        """Find out; NO_COLOR (any value) and TERM=dumb are honoured."""
        live = stream.isatty() and environ.get("TERM") != "dumb"
        return cls(live=live, colour=live and not environ.get("NO_COLOR"), unicode=_encodes(stream, "✓✗…·"))

    def paint(self, text: str, *styles: str) -> str:
        """*text* in colour, where colour may be."""
        if not self.colour or not styles or not text:
            return text
        return f"\x1b[{';'.join(str(_COLOURS[style]) for style in styles)}m{text}\x1b[0m"

    def line(self, spans: Iterable[Span], columns: int | None = None) -> str:
        """One line of *spans*, shortened to *columns* where that matters."""
        parts = []
        for text, *styles in spans:
            if columns is not None:
                text = cut(text, columns, "…" if self.unicode else "~") if columns > 0 else ""  # noqa: PLW2901
                columns -= width(text)
            parts.append(self.paint(text, *styles))
        return "".join(parts).rstrip()

    def size(self) -> tuple[int, int]:
        """Columns and rows, now."""
        size = shutil.get_terminal_size()
        return max(20, size.columns), max(4, size.lines)


def _encodes(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or os.device_encoding(1) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def width(text: str) -> int:
    """How many columns *text* (printable, without colour) takes on a terminal."""
    if text.isascii():
        return len(text)
    import unicodedata  # noqa: PLC0415 - most texts need no table

    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
    )


def padded(text: str, columns: int) -> str:
    """*text* filled up to *columns*."""
    return text + " " * (columns - width(text))


def cut(text: str, columns: int, mark: str) -> str:
    """*text* shortened to at most *columns*; *mark* stands for what was cut."""
    if width(text) <= columns:
        return text
    kept, room = "", columns - width(mark)
    for each in text:
        room -= width(each)
        if room < 0:
            break
        kept += each
    return kept + mark
