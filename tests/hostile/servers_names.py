"""What a name server that the config chose can do; `support.nameserver` has the moods, one for each first label."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.probes import answers, http

from hostile.rows import OK, Row
from hostile.servers_dns import GOOD
from hostile.servers_http import to

if TYPE_CHECKING:
    from hostile.rows import Handler


def names(
    name: str, mood: str, code: str = "dns", phase: str | None = "resolve", *, by: str = "udp", serve: Handler = GOOD
) -> Row:
    """A row of this table, asked *by* udp or tcp."""
    phase = None if code == OK else phase
    options = {"dns_resolver": by}  # of which `Servers.endpoint` makes a whole one
    return Row(name=f"name server: {name}", serve=serve, code=code, phase=phase, host=f"{mood}.test", options=options)


CROWDED = "dns/timeout"  # a flood that shares the loop with others may meet the deadline before it ends

ROWS = [
    names("as it should be", "good", OK),
    names("as it should be, by TCP", "good", OK, by="tcp"),
    names("NXDOMAIN", "nxdomain"),
    names("SERVFAIL", "servfail"),
    names("REFUSED", "refused"),
    names("REFUSED, by TCP", "refused", by="tcp"),
    names("FORMERR", "formerr"),
    names("an rcode that makes no sense here", "notauth"),
    names("no address", "nodata"),
    names("SERVFAIL for IPv6 alone", "servfail-v6", OK),
    names("mute", "mute"),
    names("mute, by TCP", "mute", by="tcp"),
    names("mute for IPv6 alone", "mute-v6", OK),
    names("a chain of aliases", "aliased", OK),
    names("aliases in a circle", "circular"),
    names("a chain of aliases that is too long", "far"),
    names("a wrong id", "wrong-id"),
    names("a wrong id, then the right one", "wrong-id-first", OK),
    names("flood of wrong ids", "flood", CROWDED),
    names("an answer from somebody else first", "spoofed", OK),
    names("the answer to another question first", "other-question", OK),
    names("an echo of the question", "echo"),
    names("half a header", "short"),
    names("garbage", "garbage"),
    names("a compression pointer to itself", "pointing-at-itself"),
    names("a compression pointer forward", "pointing-forward"),
    names("60,000 records announced, none there", "liar"),
    names("truncated, then by TCP", "tc-good", OK),
    names("truncated, then two hundred addresses", "tc-many", OK),
    names("truncated, by TCP as well", "tc-again", "dns"),
    names("truncated, then TCP that closes", "tc-closed"),
    names("truncated, then half an answer", "tc-cut"),
    names("truncated, then a drip", "tc-drip"),
    names("truncated, then silence", "tc-mute"),
    names("truncated, then 64 KiB", "tc-huge", "limit"),
    names("truncated, then a wrong id", "tc-wrong-id"),
    names("truncated, then another question", "tc-other-question"),
    names("truncated, then garbage", "tc-garbage"),
    names("redirect to NXDOMAIN", "good", serve=answers(to(b"http://nxdomain.test/"))),
    names("redirect to a metadata address", "good", "policy", None, serve=answers(to(b"http://metadata.test/"))),
    names("a server that is down behind it", "good", "protocol", "processing", serve=answers(http(200)[:9])),
]
