"""What to do when a sink refuses: try again, when, or give up (PRODUCT section 4).

network error, 408, 425, 429, 5xx   exponential back-off with jitter, until `give_up_after`
401, 403, 404, 3xx                  every 5 minutes, until `give_up_after`: somebody mends the config
410                                 dead at once
any other 4xx                       dead after five tries over about ten minutes
what can never succeed              dead at once
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from monitor.core.errors import DeliveryError
    from monitor.core.ports import Rand

TRY_TIMEOUT = 10.0  # seconds one try may take in all
LONGEST_BACK_OFF = 300.0
LONGEST_RETRY_AFTER = 3600.0
GONE = 410  # the status of a receiver that will never be back
_PATIENT = frozenset({401, 403, 404})
_TRANSIENT = frozenset({408, 425, 429})
_REFUSED_WAITS = (10.0, 60.0, 200.0, 330.0)  # seconds between five tries
_REFUSED_FOR = sum(_REFUSED_WAITS)


@attrs.frozen
class Retry:
    """Try again, not before this moment."""

    not_before: datetime


@attrs.frozen
class Dead:
    """Give up; the delivery is kept, listed and can be put back."""

    why: str


def after_failure(
    error: DeliveryError,
    *,
    attempts: int,
    first_try_at: datetime,
    give_up_after: float,
    now: datetime,
    rand: Rand,
) -> Retry | Dead:
    """Decide how to go on after try number *attempts* (the first is 1) failed with *error*."""
    status = error.status
    waited = (now - first_try_at).total_seconds()
    if error.final:
        return Dead(str(error))
    if status == GONE:
        return Dead(f"{error}: the receiver says it is gone for good")
    if _is_refused(status):
        # The tries may have been of another kind before: a receiver that starts up gets its ten minutes all the same.
        if attempts > len(_REFUSED_WAITS) and waited >= _REFUSED_FOR:
            return Dead(f"{error}: given up after {attempts} tries")
        return Retry(now + timedelta(seconds=_REFUSED_WAITS[min(attempts, len(_REFUSED_WAITS)) - 1]))
    if waited >= give_up_after:
        return Dead(f"{error}: given up after {attempts} tries")
    return Retry(now + timedelta(seconds=_wait(error, attempts, rand)))


def is_refusal(error: DeliveryError) -> bool:
    """Is it this alert that cannot be delivered, and not the sink that fails?"""
    return error.final or _is_refused(error.status)


def _is_refused(status: int | None) -> bool:
    """A 4xx that no amount of waiting is known to mend."""
    return status is not None and 400 <= status < 500 and status not in _PATIENT | _TRANSIENT


def _wait(error: DeliveryError, attempts: int, rand: Rand) -> float:
    status = error.status
    if status is not None and (status in _PATIENT or 300 <= status < 400):
        return 300.0
    back_off = min(LONGEST_BACK_OFF, 2.0 ** min(attempts - 1, 30)) * rand.uniform(0.8, 1.2)
    asked = min(error.retry_after or 0.0, LONGEST_RETRY_AFTER)
    return max(back_off, asked)
