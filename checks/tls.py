"""`tls`: what a server shows in a handshake of TLS: its certificates, whether they are to be trusted, how it encrypts.

A certificate that is not trusted is looked at all the same: the facts say what it is, and why it is refused.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

import attrs

from checks.connecting import CONNECTION_FACTS, Connecting
from checks.options import host_of, port_of, tls_url
from checks.starttls import PHASE, Protocol, agree
from monitor.api import (
    TLS,
    Code,
    Fact,
    Metric,
    OptionError,
    Probe,
    ProbeError,
    Reason,
    Verdict,
    check_option,
)

if TYPE_CHECKING:
    from checks.certificates import Said

_HTTPS = 443
_READER = "checks.certificates"
_EVIDENCE = 1.0  # seconds spent at most on asking what a refused certificate says
_MOST_CERTIFICATES = 20


@attrs.frozen(kw_only=True)
class Tls(Connecting):
    """Shake hands and look at the certificates; up when they are trusted and in time."""

    schemes: ClassVar[tuple[str, ...]] = ("tls",)
    own_task: ClassVar[bool] = False
    facts: ClassVar[Mapping[str, Fact] | None] = {
        **CONNECTION_FACTS,
        "cert_expires_in": attrs.evolve(
            CONNECTION_FACTS["cert_expires_in"], doc="until the first certificate of the chain expires"
        ),
        "cipher": Fact(
            "TLS_AES_256_GCM_SHA384",
            "the cipher suite",
            metrics=(Metric("probe_tls_cipher_info", "The cipher suite that was used.", str, label="cipher"),),
        ),
        "trusted": Fact(sample=True, doc="whether the certificate is trusted; absent with `verify = false`"),
        "distrust": Fact("certificate is self-signed", "why it is not"),
        "cert_subject": Fact("www.example.org", "whose certificate it is"),
        "cert_names": Fact(["www.example.org"], "names and addresses that it is for"),
        "cert_age": Fact(timedelta(days=60), "since it became valid; negative before that"),
        "cert_serial": Fact("3f0a", "its serial number, hexadecimal"),
        "cert_key": Fact("EC secp256r1", "its key: RSA 2048, EC secp256r1, Ed25519"),
        "cert_signature": Fact("sha256", "the hash under its signature"),
        "cert_fingerprint": Fact("b1946ac9", "its SHA-256, hexadecimal"),
        "chain": Fact(
            [{"subject": "www.example.org", "issuer": "Example CA", "expires_in": timedelta(days=30)}],
            "the certificates as sent, its own first",
        ),
    }

    url: str = check_option(doc="host and port: tls://example.org:443; default: 443", validator=tls_url)
    starttls: Protocol | None = check_option(default=None, doc="begin in the clear, in this protocol")

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.starttls is not None and not port_of(self.url):
            raise OptionError("url", 'expected a port beside starttls, as in "tls://mail.example.org:587"')

    async def probe(self, probe: Probe) -> Verdict:
        """Shake hands, and note what was seen, however it ended."""
        if _READER not in sys.modules:  # before the first phase: what takes 0.1 s is none of the endpoint's
            await probe.in_thread(importlib.import_module, _READER)
        try:
            await self._shake_hands(probe, self.tls_setting)
        except ProbeError as exc:
            if exc.reason.code is Code.TLS:
                await self._note_refused(probe, exc.reason)
            raise
        if self.verify:
            probe.facts["trusted"] = True
        _note(probe)
        return self.verdict(probe)

    async def _shake_hands(self, probe: Probe, tls: TLS) -> None:
        host = host_of(self.url)
        at_once = tls if self.starttls is None else None
        stream = await probe.connect(host, port_of(self.url, _HTTPS), tls=at_once, addressing=self.addressing)
        if self.starttls is not None:
            probe.phase(PHASE)
            await agree(self.starttls, stream, host)
            await probe.start_tls(stream, host, tls=tls)

    async def _note_refused(self, probe: Probe, why: Reason) -> None:
        """Note what the certificate says that was refused for *why*; the failure stays what it is."""
        import trio  # noqa: PLC0415 - only who probes needs it

        if probe.secured is None and self.starttls is not None and self.verify:
            with trio.move_on_after(min(_EVIDENCE, probe.time_left() / 2)):  # lest the deadline hide what is known
                try:
                    await self._shake_hands(probe, attrs.evolve(self.tls_setting, verify=False))
                except ProbeError:
                    return
        if probe.secured is not None:
            probe.facts |= {"trusted": False, "distrust": why.message}
            _note(probe)


def _note(probe: Probe) -> None:
    """Note what the latest handshake showed."""
    secured = probe.secured
    if secured is None:
        return
    from checks.certificates import said_by  # noqa: PLC0415 - only who probes needs it

    probe.facts["cipher"] = secured.cipher
    read = [said_by(der) for der in secured.chain[:_MOST_CERTIFICATES]]
    chain = [said for said in read if said is not None]
    if not chain:
        return
    now = probe.started_at
    probe.facts["chain"] = [
        {"subject": each.subject, "issuer": each.issuer, "expires_in": each.expires - now} for each in chain
    ]
    if read[0] is not None:
        _note_own(probe, read[0])
    first = min(each.expires for each in chain)
    probe.facts["cert_expires_in"] = first - now
    probe.certificate_expires = first


def _note_own(probe: Probe, own: Said) -> None:
    probe.facts |= {
        "cert_subject": own.subject,
        "cert_issuer": own.issuer,
        "cert_names": list(own.names),
        "cert_age": probe.started_at - own.begins,
        "cert_serial": own.serial,
        "cert_key": own.key,
        "cert_signature": own.signature,
        "cert_fingerprint": own.fingerprint,
    }
