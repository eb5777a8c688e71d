"""Short requests of the monitor's own: is a reference there, here is our sign of life.

They go out through the same net as everything else; the caller owns the deadline.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import trio

from monitor.core.errors import ProbeError, describe
from monitor.net.reasons import reason_of
from monitor.probe import Probe

if TYPE_CHECKING:
    import httpx

    from monitor.core.ports import Clock
    from monitor.net import Net


class CallError(Exception):
    """It did not work; the text is a sentence that may hold parts of the URL."""


async def call(url: str, *, net: Net, clock: Clock, method: str = "GET") -> int | None:
    """Connect to `tcp://host:port`, or send a request to *url*; the status of the answer, None for tcp.

    The body of an answer is not read, a redirect not followed. Raises CallError.
    """
    probe = Probe(net=net, clock=clock)
    try:
        parts = urlsplit(url)
        if parts.scheme == "tcp":
            await probe.connect(parts.hostname or "", parts.port or 0)
            return None
        answer = await probe.transport().exchange(_request(url, method))
    except (ProbeError, trio.BrokenResourceError) as exc:
        reason = reason_of(exc)
        raise CallError(describe(exc) if reason is None else reason.message) from exc
    except ValueError as exc:  # a URL that httpx or a header does not take
        raise CallError("the URL cannot be used") from exc
    else:
        return answer.status
    finally:
        probe.close()


def _request(url: str, method: str) -> httpx.Request:
    import httpx  # noqa: PLC0415 - only who calls needs it

    try:
        target = httpx.URL(url)
    except httpx.InvalidURL as exc:
        raise ValueError(str(exc)) from exc
    headers = {"User-Agent": "nursery-monitor", "Accept": "*/*"}
    if target.userinfo:
        pair = f"{target.username}:{target.password}".encode()
        headers["Authorization"] = "Basic " + base64.b64encode(pair).decode("ascii")
    return httpx.Request(method, target.copy_with(userinfo=b"", fragment=None), headers=headers)
