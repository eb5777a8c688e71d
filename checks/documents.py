"""JSON that a server sent: parsed only as far as it is small enough to look into."""

from __future__ import annotations

import json
from typing import Any

from monitor.api import Code, ProbeError, Reason

_DEEPEST = 64
_MOST_VALUES = 10_000


def parsed(body: bytes | str, phase: str) -> Any:
    """The document in *body*, None for one that is no JSON. Raises ProbeError (`limit`) for one that is too much.

    Bounds: 64 levels, 10,000 values. They are counted before parsing, because a million brackets cost the
    parser, and the expressions after it, far more than a scan.
    """
    text = body.encode("utf-8", "replace") if isinstance(body, str) else body
    if text.count(b",") + text.count(b"[") + text.count(b"{") > _MOST_VALUES:
        raise ProbeError(Reason(Code.LIMIT, phase, f"expected JSON with at most {_MOST_VALUES:,} values, got more"))
    try:
        document = json.loads(body)
    except RecursionError:
        raise _too_deep(phase) from None
    except ValueError:  # not JSON, not UTF-8, or a number with more digits than Python reads
        return None
    if _deeper(document):
        raise _too_deep(phase)
    return document


def _too_deep(phase: str) -> ProbeError:
    return ProbeError(Reason(Code.LIMIT, phase, f"expected JSON nested at most {_DEEPEST} deep, got deeper"))


def _deeper(document: Any) -> bool:
    depth, level = 0, [document]
    while level and depth <= _DEEPEST:
        depth += 1
        level = [
            child
            for each in level
            if isinstance(each, (dict, list))
            for child in (each.values() if isinstance(each, dict) else each)
        ]
    return depth > _DEEPEST
