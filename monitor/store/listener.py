"""Who hears of the store's trouble."""

from __future__ import annotations

from typing import Protocol


class Listener(Protocol):
    """Who wants to hear of the store's trouble: `monitor.selfwatch` tells it on."""

    def begins(self, key: str, message: str) -> None:
        """The trouble *key* stands; *message* is a sentence."""

    def ends(self, key: str) -> None:
        """It is over."""

    def happened(self, key: str, message: str) -> None:
        """Something is over already, and worth a message all the same."""
