"""What holds alerts back at run time, as the recorder sees it: it asks, and decides nothing about it itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from monitor.core.alerting.circumstances import Hold
    from monitor.core.model import Endpoint
    from monitor.store import Record


class Circumstances(Protocol):
    """Knows maintenance windows, silences and parents."""

    def hold(self, endpoint: Endpoint, record: Record, records: Mapping[str, Record], now: datetime) -> Hold | None:
        """What holds back an alert of *endpoint* now, or None.

        *record* is how it stands, its latest observation counted; *records* is how all stand that were ever kept, by
        name, parents too (one never probed may be missing). Called often and under a lock: it only looks.

        Asked again whenever the endpoint is probed, after each probe of one of the hold's parents, when its *until*
        has come, and for what `Recorder.review_soon` is told: that is for changes which none of these is, such as
        a new silence.
        """


class NothingHolds:
    """`Circumstances` without any."""

    def hold(
        self,
        endpoint: Endpoint,  # noqa: ARG002
        record: Record,  # noqa: ARG002
        records: Mapping[str, Record],  # noqa: ARG002
        now: datetime,  # noqa: ARG002
    ) -> Hold | None:
        """Nothing."""
        return None
