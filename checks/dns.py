"""`dns`: ask a name server, and look at what it answers.

What is wrong with the answer is told apart: a name that does not exist, a server that fails, refuses or keeps silent,
an answer without records. An `expect` that mentions `rcode` or `answers` judges in place of that: so an endpoint can
watch that a name does *not* exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs

from checks.connecting import CONNECTION_FACTS, Connecting
from checks.options import DnsType, dns_url, domain, version_of
from monitor.api import Code, Fact, Metric, NameServer, OptionError, Probe, Verdict, check_option

if TYPE_CHECKING:
    from dns.message import QueryMessage
    from dns.rdata import Rdata

_PHASE = "request"
_PORTS = {"udp": 53, "tcp": 53, "tls": 853}
_MEANING = {
    "NXDOMAIN": "no such name (NXDOMAIN)",
    "SERVFAIL": "the name server failed (SERVFAIL)",
    "REFUSED": "the name server refused to answer (REFUSED)",
    "FORMERR": "the name server did not understand the question (FORMERR)",
    "NOTIMP": "the name server does not know such questions (NOTIMP)",
}


def _rrs(name: str, section: str) -> Fact:
    metric = Metric(f"probe_dns_{name}", f"How many records the {section} section has.", default=0)
    return Fact(1, f"how many records the {section} section has", metrics=(metric,))


@attrs.frozen(kw_only=True)
class Dns(Connecting):
    """Ask a name server; up when it answers with records, or whatever `expect` says."""

    schemes: ClassVar[tuple[str, ...]] = ("dns",)
    own_task: ClassVar[bool] = False
    phases_metric: ClassVar[str] = "probe_dns_duration_seconds"
    facts: ClassVar[Mapping[str, Fact] | None] = {
        **CONNECTION_FACTS,
        "rcode": Fact(
            "NOERROR",
            "how the server answered: NOERROR, NXDOMAIN, SERVFAIL, REFUSED, …",
            metrics=(
                Metric("probe_dns_query_succeeded", "Whether there was an answer.", lambda _: 1, default=0),
                Metric("probe_dns_rcode_info", "How the server answered.", str, label="rcode"),
            ),
        ),
        "answers": Fact(["192.0.2.7"], "the values of the records that were asked for, sorted"),
        "aliases": Fact(["www.example.net"], "what the name is an alias of (CNAME), in order"),
        "ttl": Fact(timedelta(minutes=5), "how long the answer may be kept, absent without records"),
        "authoritative": Fact(sample=True, doc="whether the server says that the zone is its own"),
        "authenticated": Fact(sample=True, doc="whether the server says that it has verified DNSSEC"),
        "serial": Fact(
            2026010101,
            "the zone's, where the answer holds an SOA record",
            metrics=(Metric("probe_dns_serial", "Serial number of the zone."),),
        ),
        "answer_rrs": _rrs("answer_rrs", "answer"),
        "authority_rrs": _rrs("authority_rrs", "authority"),
        "additional_rrs": _rrs("additional_rrs", "additional"),
    }

    url: str = check_option(doc="dns://SERVER/NAME?type=MX; dns:///NAME asks the system's servers", validator=dns_url)
    query: str | None = check_option(default=None, doc="the name, where it is not in the url", validator=domain)
    type: DnsType | None = check_option(default=None, doc="type of the records; default: that of the url, else A")
    transport: Literal["udp", "tcp", "tls"] = check_option(default="udp", doc="how to ask: udp, tcp or tls")
    recursion: bool = check_option(default=True, doc="ask the server to look elsewhere, too")

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        parts = urlsplit(self.url)
        if self.query is not None and parts.path.strip("/"):
            raise OptionError("query", "expected a name in the url or in query, got both")
        if self.type is not None and parts.query:
            raise OptionError("type", "expected a type in the url or in type, got both")
        if self._server is None and version_of(self._name) is not None and self._type != "PTR":
            raise OptionError(
                "url", f"expected a name to ask for, as in dns://{parts.netloc or '192.0.2.1'}/example.org"
            )
        if self._server is None and self.transport != "udp":
            raise OptionError("transport", "expected a server in the url, as in dns://192.0.2.1/example.org")

    @property
    def target(self) -> str:
        """Whom is asked for what."""
        server = self._server
        return f"dns://{'' if server is None else urlsplit(self.url).netloc}/{self._name}?type={self._type}"

    async def probe(self, probe: Probe) -> Verdict:
        """Ask, and judge the answer."""
        answer = await probe.ask(
            self._name,
            self._type,
            server=self._server,
            recursion=self.recursion,
            tls=self.tls_setting,
            addressing=self.addressing,
        )
        _note(probe, answer, self._type)
        told = f"{self._name} {self._type}, asked {self._server or probe.facts['ip']}"
        rcode = probe.facts["rcode"]
        if rcode != "NOERROR" and not probe.expects("rcode"):
            text = _MEANING.get(rcode) or f"the name server answered {rcode}"
            return Verdict.down(f"{text}: {told}", code=Code.DNS, phase=_PHASE)
        if not probe.facts["answers"] and not probe.expects("rcode") and not probe.expects("answers"):
            return Verdict.down(f"the name has no record of this type: {told}", code=Code.DNS, phase=_PHASE)
        return self.verdict(probe)

    @cached_property
    def _name(self) -> str:
        """What is asked for. Of a URL that has neither path nor `query` it is the host."""
        parts = urlsplit(self.url)
        return self.query or unquote(parts.path.strip("/")) or parts.hostname or ""

    @cached_property
    def _type(self) -> DnsType:
        asked = dict(parse_qsl(urlsplit(self.url).query)).get("type", "A").upper()
        return self.type or cast("DnsType", asked)  # the validator knows them all

    @cached_property
    def _server(self) -> NameServer | None:
        parts = urlsplit(self.url)
        if not parts.hostname or not (self.query or parts.path.strip("/")):
            return None
        return NameServer(self.transport, parts.hostname, parts.port or _PORTS[self.transport])


def _note(probe: Probe, answer: QueryMessage, wanted: str) -> None:
    """Note what *answer* says as facts."""
    import dns.flags  # noqa: PLC0415 - only who probes needs it
    import dns.rcode  # noqa: PLC0415
    import dns.rdatatype  # noqa: PLC0415

    kind = dns.rdatatype.from_text(wanted)
    probe.facts |= {
        "rcode": dns.rcode.to_text(answer.rcode()),
        "authoritative": bool(answer.flags & dns.flags.AA),
        "authenticated": bool(answer.flags & dns.flags.AD),
        "answers": sorted(_text(each) for rrset in answer.answer if rrset.rdtype == kind for each in rrset),
        "aliases": [
            _text(each)
            for rrset in answer.answer
            if rrset.rdtype == dns.rdatatype.CNAME and kind != dns.rdatatype.CNAME
            for each in rrset
        ],
    }
    for section in ("answer", "authority", "additional"):
        probe.facts[f"{section}_rrs"] = sum(len(rrset) for rrset in getattr(answer, section))
    if answer.answer:
        probe.facts["ttl"] = timedelta(seconds=min(rrset.ttl for rrset in answer.answer))
    for rrset in (*answer.answer, *answer.authority):
        if rrset.rdtype == dns.rdatatype.SOA:
            soa: Any = rrset[0]
            probe.facts["serial"] = soa.serial
            break


def _text(record: Rdata) -> str:
    """The value of *record* as people write it: names without the dot at their end, TXT without quotes."""
    if (strings := getattr(record, "strings", None)) is not None:  # of TXT; a long one comes in pieces
        return b"".join(strings).decode("utf-8", "replace")
    text = record.to_text()
    return text if text.endswith(" .") or text == "." else text.removesuffix(".")
