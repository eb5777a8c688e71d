"""The tls check: chains that are trusted, and those that are not and are shown all the same; STARTTLS; no TLS."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trustme
from cryptography import x509
from support.probes import look_calmly as look
from support.probes import serve
from test_tcp_check import STARTTLS, talks
from test_tls import CA, ca_file, context

from checks.tls import Tls
from monitor.declaring import OptionError

if TYPE_CHECKING:
    from pathlib import Path

    from support.probes import Handler

    from monitor.core.model import Observation
__all__ = ["ca_file"]  # a fixture


def days(number: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=number, minutes=5)


async def seen(nursery: trio.Nursery, handler: Handler, **options: Any) -> Observation:
    port = await serve(nursery, handler)
    return await look(Tls(url=f"tls://127.0.0.1:{port}", **options))


def by(certificate: trustme.LeafCert | None = None, **settings: Any) -> Handler:
    return talks(b"", tls=context(certificate, **settings))


async def test_what_a_trusted_server_shows(nursery: trio.Nursery, ca_file: Path) -> None:
    certificate = CA.issue_cert("127.0.0.1", "shop.example", common_name="shop.example", not_after=days(40))
    found = await seen(nursery, by(certificate), ca_file=ca_file)
    assert (found.status, found.reason.code) == ("up", "ok")
    facts = found.facts
    assert (facts["trusted"], facts["tls_version"], facts["cipher"][:4]) == (True, "1.3", "TLS_")
    assert (facts["cert_subject"], facts["cert_names"]) == ("shop.example", ["shop.example", "127.0.0.1"])
    assert facts["cert_key"] == "EC secp256r1"
    assert 39 * 86400 < facts["cert_expires_in"] < 41 * 86400
    assert facts["cert_age"] > 0
    parsed = x509.load_pem_x509_certificate(certificate.cert_chain_pems[0].bytes())
    assert facts["cert_serial"] == f"{parsed.serial_number:x}"
    assert len(facts["cert_fingerprint"]) == 64
    assert [each["subject"] for each in facts["chain"]] == ["shop.example"]
    assert list(found.phases) == ["resolve", "connect", "tls"]


async def test_the_first_of_the_whole_chain_to_expire_counts(
    nursery: trio.Nursery, ca_file: Path, tmp_path: Path
) -> None:
    own, other = CA.issue_cert("127.0.0.1", not_after=days(40)), CA.issue_cert("old", not_after=days(5))
    sent = [own.private_key_pem, own.cert_chain_pems[0], other.cert_chain_pems[0]]
    (tmp_path / "chain.pem").write_bytes(b"".join(each.bytes() for each in sent))
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(tmp_path / "chain.pem")
    found = await seen(nursery, talks(b"", tls=made), ca_file=ca_file)
    assert (found.status, found.reason.code) == ("degraded", "tls")
    first, second = (each["expires_in"] for each in found.facts["chain"])
    assert found.facts["cert_expires_in"] == second < first


async def test_one_that_ends_soon_is_warned_of(nursery: trio.Nursery, ca_file: Path) -> None:
    soon = await seen(nursery, by(CA.issue_cert("127.0.0.1", not_after=days(3))), ca_file=ca_file)
    assert (soon.status, soon.reason.code) == ("degraded", "tls")
    assert soon.reason.message.startswith("certificate expires in 3 days")


def self_signed() -> trustme.LeafCert:
    return trustme.CA().issue_cert("127.0.0.1", common_name="own")


REFUSED = {
    "unknown issuer": (self_signed, "certificate is from an unknown issuer"),
    "expired": (
        lambda: CA.issue_cert("127.0.0.1", not_after=days(-3)),
        ("certificate expired ", "certificate has expired"),
    ),
    "not yet valid": (lambda: CA.issue_cert("127.0.0.1", not_before=days(3)), "certificate is not yet valid"),
    "other host": (lambda: CA.issue_cert("other.example"), "certificate is for another"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("starttls", [None, "smtp"])
async def test_what_is_refused_is_shown_all_the_same(
    nursery: trio.Nursery, ca_file: Path, name: str, starttls: Any
) -> None:
    make, message = REFUSED[name]
    greeting, lines = STARTTLS["smtp"] if starttls else (b"", ())
    handler = talks(greeting, *lines, tls=context(make()))
    found = await seen(nursery, handler, ca_file=ca_file, starttls=starttls)
    assert (found.status, found.reason.code, found.reason.phase) == ("down", "tls", "tls")
    assert found.reason.message.startswith(message)
    facts = found.facts
    assert (facts["trusted"], facts["distrust"]) == (False, found.reason.message)
    assert {"cert_expires_in", "cert_issuer", "cert_subject", "cert_serial", "cipher", "tls_version"} <= facts.keys()
    assert facts["cert_names"] == (["other.example"] if name == "other host" else ["127.0.0.1"])
    assert (facts["cert_expires_in"] < 0) == (name == "expired")
    assert (facts["cert_age"] < 0) == (name == "not yet valid")
    unverified = await seen(nursery, handler, verify=False, starttls=starttls)
    assert unverified.status == ("degraded" if name == "expired" else "up")
    assert "trusted" not in unverified.facts


@pytest.mark.parametrize("protocol", STARTTLS)
async def test_starttls(nursery: trio.Nursery, ca_file: Path, protocol: Any) -> None:
    greeting, lines = STARTTLS[protocol]
    found = await seen(nursery, talks(greeting, *lines, tls=context()), ca_file=ca_file, starttls=protocol)
    assert (found.status, found.facts["trusted"]) == ("up", True)
    assert list(found.phases) == ["resolve", "connect", "starttls", "tls"]


async def test_servers_that_are_none(nursery: trio.Nursery) -> None:
    async def ssh(stream: trio.SocketStream) -> None:
        await stream.send_all(b"SSH-2.0-OpenSSH_9.2\r\n")
        await stream.receive_some()

    async def hangs_up(stream: trio.SocketStream) -> None:
        await stream.receive_some()

    async def mute(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    plain = await seen(nursery, ssh)
    assert (plain.reason.code, plain.reason.message) == (
        "tls",
        "TLS failed: the server does not speak TLS on this port",
    )
    assert "trusted" not in plain.facts
    assert (await seen(nursery, hangs_up)).reason.code == "tls"
    port = await serve(nursery, mute)
    silent = await look(Tls(url=f"tls://127.0.0.1:{port}"), timeout=0.3)
    assert (silent.reason.code, silent.reason.phase) == ("timeout", "tls")
    refused = await look(Tls(url="tls://127.0.0.1:1"))
    assert refused.reason.code == "connect"


async def test_old_versions_are_told(nursery: trio.Nursery, ca_file: Path) -> None:
    old = by(maximum_version=ssl.TLSVersion.TLSv1_2)
    assert (await seen(nursery, old, ca_file=ca_file)).facts["tls_version"] == "1.2"
    assert (await seen(nursery, old, ca_file=ca_file, min_tls="1.3")).reason.code == "tls"


async def test_expectations(nursery: trio.Nursery, ca_file: Path) -> None:
    port = await serve(nursery, by())
    wanted = (
        "'shop.example' in cert_names",
        "chain.all(each, each.expires_in > duration('24h'))",
        "cert_expires_in > duration('24h')",
        "trusted && cert_age > duration('1s')",
    )
    found = await look(Tls(url=f"tls://127.0.0.1:{port}", ca_file=ca_file), expect=wanted)
    assert found.status == "up", found.reason


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"url": "tls://"}, "url"),
        ({"url": "https://127.0.0.1"}, "url"),
        ({"url": "tls://127.0.0.1/path"}, "url"),
        ({"url": "tls://127.0.0.1", "starttls": "smtp"}, "url"),
    ],
)
def test_what_cannot_be_is_a_mistake_of_the_config(options: dict[str, Any], option: str) -> None:
    with pytest.raises(OptionError) as caught:
        Tls(**options)
    assert caught.value.option == option
