"""The icmp check: replies that are ours and replies that are not, by either way of the system; or by none."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
from support.icmp_namespace import MOODS
from support.loopback import may_ping
from support.namespaces import alone
from support.probes import look_calmly as look

from checks.icmp import Icmp
from monitor.declaring import OptionError
from monitor.testing import look as look_without_network


def has_ipv6() -> bool:
    return Path("/proc/net/if_inet6").exists() and "lo" in Path("/proc/net/if_inet6").read_text()


needs_icmp = pytest.mark.skipif(not may_ping(), reason="nobody may send ICMP here")


@functools.cache
def told(way: str, *moods: str, unprivileged: bool = False) -> dict[str, Any]:
    """What is seen in a network namespace, by mood: status, code, message, facts, seconds of CPU time."""
    without = ["setpriv", "--inh-caps=-net_raw", "--bounding-set=-net_raw"] if unprivileged else []
    found: dict[str, Any] = json.loads(alone("net", "support.icmp_namespace", way, *moods, through=without))
    return found


@needs_icmp
async def test_this_machine_answers() -> None:
    seen = await look(Icmp(url="icmp://127.0.0.1"), expect=("loss == 0.0", "rtt < duration('5s')", "received == 3"))
    assert (seen.status, seen.reason.code) == ("up", "ok"), seen.reason
    assert (seen.facts["sent"], seen.facts["received"], seen.facts["ip"]) == (3, 3, "127.0.0.1")
    assert seen.facts["rtt_min"] <= seen.facts["rtt"] <= seen.facts["rtt_max"]
    assert list(seen.phases) == ["resolve", "setup", "rtt"]


@needs_icmp
@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
async def test_by_ipv6() -> None:
    seen = await look(Icmp(url="ping://[::1]", count=2, size=1400))
    assert (seen.status, seen.facts["ip"], seen.facts["received"]) == ("up", "::1", 2)


def no_reply(found: dict[str, Any], mood: str) -> None:
    status, code, message, facts, _ = found[mood]
    assert (status, code, facts["received"], facts["loss"]) == ("down", "timeout", 0, 1.0), mood
    assert message.startswith("no reply to 2 echo requests within "), message
    assert message.endswith(f" ({facts['ip']})")


@pytest.mark.parametrize("way", ["datagram", "raw"])
def test_only_our_own_replies_count(way: str) -> None:
    found = told(way, *MOODS)
    for mood in ("mute", "truncated", "foreign payload", "foreign sequence", "an echo of the request"):
        no_reply(found, mood)
    if way == "raw":  # else the system sees to it
        no_reply(found, "foreign id")
    for mood in ("good", "flood"):
        status, _, _, facts, _ = found[mood]
        assert (status, facts["received"], facts["loss"], facts["duplicates"]) == ("up", 2, 0.0, 0), mood
        assert facts["hops"] == 64
    assert found["twice"][3]["received"] == 2
    assert found["twice"][3]["duplicates"] >= 1
    status, _, _, facts, _ = found["first lost"]
    assert (status, facts["received"], facts["loss"]) == ("up", 1, 0.5)
    for mood in ("unreachable", "unreachable, then silence"):
        assert found[mood][:3] == ["down", "connect", "host unreachable (127.0.0.1)"]
        assert found[mood][4] < 0.7, "the error that was told is no reason to wake up again and again"


def test_where_it_is_not_allowed_it_says_what_to_set() -> None:
    status, code, message, *_ = told("none", "good", unprivileged=True)["good"]
    assert (status, code) == ("unknown", "internal")
    assert "net.ipv4.ping_group_range" in message
    assert "CAP_NET_RAW" in message


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"url": "icmp://"}, "url"),
        ({"url": "icmp://127.0.0.1:7"}, "url"),
        ({"url": "icmp://127.0.0.1/x"}, "url"),
        ({"url": "icmp://127.0.0.1", "count": 0}, "count"),
        ({"url": "icmp://127.0.0.1", "size": 4}, "size"),
        ({"url": "icmp://127.0.0.1", "ip_version": 6}, "ip_version"),
    ],
)
def test_what_cannot_be_is_a_mistake_of_the_config(options: dict[str, Any], option: str) -> None:
    with pytest.raises(OptionError) as caught:
        Icmp(**options)
    assert caught.value.option == option


def test_the_test_kit_has_streams_alone() -> None:
    assert look_without_network(Icmp(url="icmp://example.test")).reason.code == "connect"
