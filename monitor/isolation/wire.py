"""What goes to a worker, and what comes back: the one is ours, the other is from outside."""

from __future__ import annotations

import importlib
import json
import math
import pickle
import sys
from typing import TYPE_CHECKING, Any

import attrs

from monitor.config.secrets import Masker
from monitor.core.expectations import compile_all
from monitor.core.model import Code, Endpoint, Observation, Reason, Status
from monitor.plugins import load_file, local_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from monitor.core.ports import Mask

MOST = 512 * 1024  # bytes of an answer: facts have 32,000 characters, of six bytes at worst
_LONGEST = 1000  # characters of a reason, before it is cut for people
_MOST_PHASES = 100


class WireError(Exception):
    """What came from a worker is nothing that a worker of ours says."""


def packed(endpoint: Endpoint, mask: Mask | None) -> bytes:
    """All that a worker needs to know of *endpoint*. Raises an exception of any kind where its check cannot travel."""
    check = endpoint.check
    cls = type(check)
    endpoint = attrs.evolve(endpoint, invert=False)  # that is for whoever knows whether the monitor was held up
    plain = {each.name: getattr(endpoint, each.name) for each in attrs.fields(Endpoint)}
    expect, degraded = plain.pop("expect").sources, plain.pop("degraded").sources
    del plain["check"]
    options = {
        each.alias or each.name: getattr(check, each.name)
        for each in attrs.fields(cls)  # type: ignore[arg-type]  # every check is an attrs class
        if each.init
    }
    # What stands behind a reference must be there before it is looked up: hence a pickle in a pickle.
    inner = pickle.dumps((cls, options, plain, expect, degraded))
    own = mask.within(inner) if isinstance(mask, Masker) else None
    return pickle.dumps((sys.path, local_file(cls.__module__), inner, own))


def unpacked(data: bytes) -> tuple[Endpoint, Mask | None]:
    """In the worker: the endpoint, and what hides the secrets that it knows. Raises whatever a plugin raises."""
    path, file, inner, own = pickle.loads(data)  # noqa: S301 - from the monitor itself
    sys.path[:] = path
    importlib.invalidate_caches()
    if file is not None:
        load_file(file)
    cls, options, plain, expect, degraded = pickle.loads(inner)  # noqa: S301
    endpoint = Endpoint(
        **plain,
        check=cls(**options),
        expect=compile_all(expect, cls.facts),
        degraded=compile_all(degraded, cls.facts),
    )
    return endpoint, own or None


def told(seen: Observation) -> dict[str, Any]:
    """An observation as a worker sends it."""
    return {
        "status": str(seen.status),
        "reason": seen.reason.to_json(),
        "duration": seen.duration,
        "phases": dict(seen.phases),
        "facts": dict(seen.facts),
    }


def said(frame: bytes) -> dict[str, Any]:
    """A message of a worker. Raises WireError."""
    try:
        message = json.loads(frame, parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        raise WireError("it said something that is no JSON") from exc
    if not isinstance(message, dict):
        raise WireError("it said something else than an object")
    return message


def observation(data: object, endpoint: str, started_at: datetime) -> Observation:
    """The observation that a worker sent. Raises WireError for anything else."""
    match data:
        case {
            "status": str(status),
            "reason": {"code": str(code), "phase": str() | None as phase, "message": str(message)},
            "duration": int() | float() as duration,
            "phases": dict(phases),
            "facts": dict(facts),
        } if status in _STATUSES and code in _CODES and len(message) <= _LONGEST:
            return Observation(
                endpoint=endpoint,
                status=Status(status),
                reason=Reason(Code(code), None if phase is None else phase[:_LONGEST], message),
                started_at=started_at,
                duration=_seconds(duration),
                phases=_phases(phases),
                facts=facts,
            )
        case _:
            raise WireError("it answered with something else than an observation")


_STATUSES = frozenset(map(str, Status))
_CODES = frozenset(map(str, Code))


def _phases(phases: Mapping[str, object]) -> dict[str, float]:
    if len(phases) > _MOST_PHASES:
        raise WireError(f"it answered with {len(phases)} phases")
    return {name[:_LONGEST]: _seconds(value) for name, value in phases.items()}


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise WireError("it answered with a duration that is none")
    return float(value)


def _no_constant(name: str) -> float:
    raise ValueError(name)
