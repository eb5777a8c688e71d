"""What is kept of an endpoint's alerting, as JSON and back. What is as ever is left out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from monitor.core.alerting.words import NOTHING, Alerting, Flapping, Word
from monitor.core.model import OK, Outcome, Reason, State
from monitor.store.moments import millis, moment

if TYPE_CHECKING:
    from datetime import datetime

_NOTHING = "{}"
_encode = json.JSONEncoder(separators=(",", ":")).encode


def alerting_text(alerting: Alerting) -> str:
    """Everything of *alerting* that is not its default."""
    if alerting is NOTHING:
        return _NOTHING
    data: dict[str, Any] = {
        "words": {sink: _word_json(word) for sink, word in alerting.words.items()},
        "moments": [millis(each) for each in alerting.moments],
        "flapping": None if alerting.flapping is None else _flapping_json(alerting.flapping),
        "before": None if alerting.before is State.PENDING else str(alerting.before),
        "reason": _reason_json(alerting.reason),
        "first": None if alerting.first is None else str(alerting.first),
        "certificate": alerting.certificate,
        "unsaid": alerting.unsaid,
        "held": None if alerting.held is None else str(alerting.held),
        "parents": alerting.parents,
        "suppressed": alerting.suppressed,
    }
    return _encode({key: value for key, value in data.items() if value})


def alerting_from_text(text: str | None) -> Alerting:
    """Read back what `alerting_text` wrote; None is nothing."""
    data = {} if text is None else json.loads(text)
    if not data:
        return NOTHING
    flapping = data.get("flapping")
    return Alerting(
        words={sink: _word(each) for sink, each in data.get("words", {}).items()},
        moments=tuple(moment(each) for each in data.get("moments", ())),
        flapping=None if flapping is None else Flapping(since=moment(flapping["since"]), told=_names(flapping["told"])),
        before=State(data.get("before", State.PENDING)),
        reason=_reason(data.get("reason")),
        first=State(data["first"]) if "first" in data else None,
        certificate=data.get("certificate", False),
        unsaid=data.get("unsaid", False),
        held=Outcome(data["held"]) if "held" in data else None,
        parents=tuple(data.get("parents", ())),
        suppressed=tuple(data.get("suppressed", ())),
    )


def _word_json(word: Word) -> dict[str, Any]:
    return {
        "incident": word.incident,
        "started_at": millis(word.started_at),
        "reason": _reason_json(word.reason),
        "level": str(word.level),
        "told_at": millis(word.told_at),
        "reminded_at": _millis_or_none(word.reminded_at),
    }


def _word(data: dict[str, Any]) -> Word:
    reminded_at = data.get("reminded_at")
    return Word(
        incident=data["incident"],
        started_at=moment(data["started_at"]),
        reason=_reason(data["reason"]),
        level=State(data["level"]),
        told_at=moment(data["told_at"]),
        reminded_at=None if reminded_at is None else moment(reminded_at),
    )


def _flapping_json(flapping: Flapping) -> dict[str, Any]:
    return {"since": millis(flapping.since), "told": flapping.told}


def _reason_json(reason: Reason) -> dict[str, Any] | None:
    return None if reason == OK else reason.to_json()


def _reason(data: dict[str, Any] | None) -> Reason:
    return OK if data is None else Reason.from_json(data)


def _names(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


def _millis_or_none(value: datetime | None) -> int | None:
    return None if value is None else millis(value)
