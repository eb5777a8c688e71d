"""The simple values of a config, each read exactly: `"3"` is not 3. Each raises ValueError with one sentence."""

from __future__ import annotations

import re
from datetime import datetime, time

from monitor.config import Listen
from monitor.core.quantities import Expression, shown

_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


def whole(value: object) -> int:
    """An integer of at most 64 bits."""
    if type(value) is not int or abs(value) >= 2**63:
        raise ValueError(f"expected a whole number, got {shown(value)}")
    return value


def number(value: object) -> float:
    """A float that is finite; an integer will do."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
        raise ValueError(f"expected a number, got {shown(value)}")
    return float(value)


def truth(value: object) -> bool:
    """A bool."""
    if type(value) is not bool:
        raise ValueError(f"expected true or false, got {shown(value)}")
    return value


def expression(value: object) -> Expression:
    """An expression: nothing is inserted into it."""
    if type(value) is not str:
        raise ValueError(f"expected an expression, got {shown(value)}")
    return Expression(value)


def moment(value: object) -> datetime:
    """A date with a time of day, with an offset or without."""
    if type(value) is not datetime:
        raise ValueError(f"expected a date and time such as 2026-12-01T02:00:00Z, got {shown(value)}")
    return value


def time_of_day(value: object) -> time:
    """Read `"02:00"`."""
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'expected a time of day such as "02:00", got {shown(value)}')
    return time(int(match[1]), int(match[2]))


def listen(text: str) -> Listen:
    """Read `HOST:PORT`; raises ValueError."""
    expected = 'expected HOST:PORT such as "127.0.0.1:8080"'
    host, colon, port = text.rpartition(":")
    if not colon or not port or text.endswith("]"):
        raise ValueError(f"{expected}, got {shown(text)} without a port")
    if not (port.isascii() and port.isdigit()) or len(port) > 10:
        raise ValueError(f"{expected}, got {shown(text)} with a port that is no number")
    if int(port) > 65535:
        raise ValueError(f"{expected}, got {shown(text)} with a port out of range 0-65535")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not bare:
        raise ValueError(f'{expected}, got {shown(text)} without a host ("0.0.0.0" is every address)')
    if ":" in bare and bare == host:
        raise ValueError(f'{expected}, got {shown(text)}: an IPv6 address stands in brackets, "[::1]:8080"')
    if ":" not in bare and bare != host:
        raise ValueError(f"{expected}, got {shown(text)}: only an IPv6 address stands in brackets")
    if ":" in bare:
        _hold_ipv6(bare, f"{expected}, got {shown(text)}: no IPv6 address")
    elif not re.fullmatch(r"[A-Za-z0-9._-]+", bare):
        raise ValueError(f"{expected}, got {shown(text)} with a host that cannot be")
    return Listen(bare, int(port))


def _hold_ipv6(host: str, problem: str) -> None:
    import ipaddress  # noqa: PLC0415 - rarely needed

    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        raise ValueError(problem) from None
