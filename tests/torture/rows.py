"""The table: each way to misbehave, and what it must be called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from torture import exits_in_import, hangs_in_import, raises_in_import
from torture.misbehaving import Misbehaving

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.api import Check

UP, TIMEOUT, CRASH, STALL = ("up", "ok"), ("down", "timeout"), ("unknown", "crash"), ("unknown", "internal")
IMPORTING: dict[str, type[Check]] = {
    "raises in import": raises_in_import.Importing,
    "exits in import": exits_in_import.Importing,
    "hangs in import": hangs_in_import.Importing,
}


@attrs.frozen
class Row:
    """One plugin in one isolation; *expected* are status and reason, any of them."""

    name: str
    isolated: bool
    expected: tuple[tuple[str, str], ...]

    @property
    def isolation(self) -> str:
        return "process" if self.isolated else "task"

    def check(self, place: Path) -> Check:
        """The check, whose processes leave their numbers in *place*."""
        if cls := IMPORTING.get(self.name):
            return cls()
        return Misbehaving(how=self.name.lower().replace(" ", "_"), place=place)


def _rows(isolated: bool, expected: dict[str, tuple[tuple[str, str], ...]]) -> list[Row]:
    return [Row(name, isolated, each) for name, each in expected.items()]


ROWS = [
    *_rows(
        True,
        {
            "behaves": (UP,),
            "waits": (TIMEOUT,),
            "blocks": (TIMEOUT,),
            "spins": (TIMEOUT,),
            "spins and lets nobody in": (TIMEOUT,),
            "swallows cancelled": (TIMEOUT,),
            "hides from cancelled": (TIMEOUT,),
            "stops itself": (TIMEOUT,),
            "blocks every signal": (TIMEOUT,),
            "raises": (CRASH,),
            "recurses": (CRASH,),
            "answers nonsense": (CRASH,),
            "exits": (CRASH,),
            "exits at once": (CRASH,),
            "aborts": (CRASH,),
            "segfaults": (CRASH,),
            "kills itself": (CRASH,),
            "kills its keeper": (CRASH,),
            "closes everything": (CRASH,),
            "leaks a nursery": (CRASH,),
            "raises in import": (CRASH,),
            "exits in import": (CRASH,),
            "hangs in import": (CRASH,),
            "writes to nobody": (UP,),
            "leaves a daemon": (UP,),
            "leaves a program": (UP,),
            "leaves zombies": (UP,),
            "leaves a thread": (UP,),
            "daemons and blocks": (TIMEOUT,),
            "daemons that ignore signals": (TIMEOUT,),
            "forks a bomb": (TIMEOUT,),
            "forks ahead of whoever looks": (CRASH,),
            "floods stdout": (TIMEOUT,),
            "floods stderr and answers": (UP, TIMEOUT),
            "floods its facts": (UP, TIMEOUT),
            "floods its phases": (CRASH, TIMEOUT),
            "talks rubbish": (CRASH,),
            "talks JSON": (CRASH,),
            "begins a message": (TIMEOUT,),
            "takes memory": (CRASH,),
            "takes memory in children": (CRASH,),
            "changes its process": (UP,),
        },
    ),
    *_rows(
        False,
        {
            "behaves": (UP,),
            "waits": (TIMEOUT,),
            "raises": (CRASH,),
            "recurses": (CRASH,),
            "exits": (CRASH,),
            "answers nonsense": (CRASH,),
            "leaks a nursery": (CRASH,),
            "hides for a while": (TIMEOUT,),
            "blocks for a while": (STALL,),
        },
    ),
]
