"""What a sink was told that still holds: for receivers that forget what they are not told again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from monitor.core.model import Delivery

_SUBJECTS = {"alert.flapping": "flapping", "alert.self": "self", "alert.test": "test"}


class Standing:
    """The last word of one sink about each subject, where it says that something is wrong."""

    def __init__(self) -> None:
        """Nothing was said yet."""
        self._words: dict[tuple[str | None, str], Delivery] = {}

    def told(self, deliveries: Iterable[Delivery]) -> None:
        """Take notice of what was delivered, oldest first."""
        for each in deliveries:
            key = each.endpoint, _SUBJECTS.get(each.type, "incident")
            if _stands(json.loads(each.body)):
                self._words[key] = each
            else:
                self._words.pop(key, None)

    def given_up(self, deliveries: Iterable[Delivery]) -> None:
        """Take notice of what never reached it: what it would have ended is not upheld any more."""
        for each in deliveries:
            if not _stands(json.loads(each.body)):
                self._words.pop((each.endpoint, _SUBJECTS.get(each.type, "incident")), None)

    def words(self, *, but: Collection[str | None] = ()) -> list[Delivery]:
        """What it is to be told again, but for these endpoints, of which it will hear something else."""
        return [each for (endpoint, _), each in self._words.items() if endpoint not in but]


def _stands(document: Mapping[str, Any]) -> bool:
    """Does *document* say that something is wrong, and will be until it is told otherwise?"""
    match document["type"]:
        case "alert.firing" | "alert.reminder":
            return True
        case "alert.flapping":
            return bool(document["data"].get("flapping", True))
        case "alert.self":
            return bool(document["data"].get("trouble", True))
        case _:
            return False
