"""A terminal, as much of one as our live lines need: it applies what a program writes to a screen."""

from __future__ import annotations

import re

_SEQUENCE = re.compile(r"\x1b\[\??(\d*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)")


class Screen:
    """All lines ever written, as they stand; the cursor cannot go above the *rows* at the end."""

    def __init__(self, columns: int, rows: int) -> None:
        self.lines = [""]
        self.highest = 0  # lines the cursor was ever moved up at once
        self._columns, self._rows = columns, rows
        self._row = self._column = 0

    def feed(self, text: str) -> None:
        """Apply *text*."""
        for number, letter, carriage_return, newline, plain in _SEQUENCE.findall(text):
            if carriage_return:
                self._column = 0
            elif newline:
                self._down()
            elif plain:
                self._write(plain)
            elif letter == "A":
                self.highest = max(self.highest, int(number or 1))
                assert int(number or 1) < self._rows, "the cursor cannot leave the screen"
                self._row = max(0, self._row - int(number or 1))
            elif letter == "J":
                del self.lines[self._row + 1 :]
                self.lines[self._row] = self.lines[self._row][: self._column]
            elif letter == "H":
                self._row = self._column = 0
            elif letter == "K":
                self.lines[self._row] = self.lines[self._row][: self._column]
            else:
                assert letter in "mhl", f"unexpected escape sequence {number}{letter}"

    def _down(self) -> None:
        self._row, self._column = self._row + 1, 0
        if self._row == len(self.lines):
            self.lines.append("")

    def _write(self, text: str) -> None:
        for each in text:
            if self._column == self._columns:
                self._down()
            line = self.lines[self._row].ljust(self._column)
            self.lines[self._row] = line[: self._column] + each + line[self._column + 1 :]
            self._column += 1
