"""Certificates and time, and certificates of our own: warned of before they end, shown to who asks."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from support.http2 import Http2Server, Says, serve_http2
from support.probes import answers, http, look, serve
from support.proxies import HttpProxy
from test_proxies import serve_over_tls
from test_tls import CA, ca_file, context, serve_tls

from checks.http import Http
from checks.websocket import WebSocket
from monitor.api import TLS, OptionError
from monitor.core.quantities import Lifetime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import trio

__all__ = ["ca_file"]  # a fixture


def days_left(number: float) -> datetime:
    return (datetime.now(UTC) + timedelta(days=number, minutes=5)).replace(microsecond=0)


async def seen_with(nursery: trio.Nursery, expires: datetime, **options: Any) -> tuple[str, str, str | None, str]:
    port = await serve_tls(nursery, context(CA.issue_cert("127.0.0.1", not_after=expires)))
    seen = await look(Http(url=f"https://127.0.0.1:{port}/", **options))
    return str(seen.status), str(seen.reason.code), seen.reason.phase, seen.reason.message


UP = ("up", "ok", None, "")


async def test_a_certificate_that_ends_soon_is_told_of(nursery: trio.Nursery, ca_file: Path) -> None:
    soon, later = days_left(13), days_left(15)
    told = ("degraded", "tls", "tls", f"certificate expires in 13 days, on {soon:%Y-%m-%d}; warned 14 days ahead")
    assert await seen_with(nursery, soon, ca_file=ca_file) == told
    assert await seen_with(nursery, soon, verify=False) == told
    assert await seen_with(nursery, later, ca_file=ca_file) == UP
    earlier = await seen_with(nursery, later, ca_file=ca_file, cert_warning=Lifetime.parse("21d"))
    assert earlier[3] == f"certificate expires in 15 days, on {later:%Y-%m-%d}; warned 21 days ahead"


@pytest.mark.parametrize("never", ["never", Lifetime(0)])
async def test_who_wants_no_warning_gets_none(nursery: trio.Nursery, ca_file: Path, never: Any) -> None:
    assert await seen_with(nursery, days_left(1), ca_file=ca_file, cert_warning=never) == UP
    assert await seen_with(nursery, days_left(-3), verify=False, cert_warning=never) == UP


async def test_one_that_has_ended_is_told_of_where_nobody_verifies_it(nursery: trio.Nursery) -> None:
    ended = days_left(-3)
    seen = await seen_with(nursery, ended, verify=False)
    assert seen == (
        "degraded",
        "tls",
        "tls",
        f"certificate expired 3 days ago, on {ended:%Y-%m-%d}; warned 14 days ahead",
    )


async def test_what_is_worse_goes_before_the_warning_and_degraded_after_it(
    nursery: trio.Nursery, ca_file: Path
) -> None:
    port = await serve_tls(nursery, context(CA.issue_cert("127.0.0.1", not_after=days_left(3))))
    check = Http(url=f"https://127.0.0.1:{port}/", ca_file=ca_file)
    slow = await look(check, degraded=("latency < duration('1ms')",))
    assert (slow.status, slow.reason.code) == ("degraded", "tls")
    bad = await look(check, expect=("status == 404",), degraded=("latency < duration('1ms')",))
    assert (bad.status, bad.reason.code) == ("down", "expectation")


async def test_the_first_to_end_counts_among_those_of_a_redirect(nursery: trio.Nursery, ca_file: Path) -> None:
    plain = await serve(nursery, answers(http(200)))
    long = await serve_tls(nursery, context())
    for target in (f"http://127.0.0.1:{plain}/", f"https://127.0.0.1:{long}/"):
        made = context(CA.issue_cert("127.0.0.1", not_after=days_left(3)))
        short = await serve_tls(nursery, made, http(302, b"", f"Location: {target}"))
        seen = await look(Http(url=f"https://127.0.0.1:{short}/", ca_file=ca_file, allow_downgrade=True))
        assert seen.reason.message.startswith("certificate expires in 3 days"), seen.reason


# Certificates of our own.


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`ours.pem` with its key and chain, `ours.crt` and `ours.key` apart, `theirs.*` of an authority nobody knows."""
    directory = tmp_path_factory.mktemp("identity")
    for name, ca in (("ours", CA), ("theirs", trustme.CA())):
        made = ca.issue_cert("monitor@example.org")
        made.private_key_and_cert_chain_pem.write_to_path(directory / f"{name}.pem")
        made.cert_chain_pems[0].write_to_path(directory / f"{name}.crt")
        made.private_key_pem.write_to_path(directory / f"{name}.key")
    return directory


async def asking(nursery: trio.Nursery, body: bytes = http(200, b"ok"), **settings: Any) -> int:
    """A server that wants a certificate of our authority."""
    made = context(verify_mode=ssl.CERT_REQUIRED, **settings)
    CA.configure_trust(made)
    return await serve_tls(nursery, made, body)


@pytest.mark.parametrize("maximum", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_our_certificate_is_shown_to_who_asks(
    nursery: trio.Nursery, ca_file: Path, files: Path, maximum: ssl.TLSVersion
) -> None:
    port = await asking(nursery, maximum_version=maximum)
    url = f"https://127.0.0.1:{port}/"
    both = Http(url=url, ca_file=ca_file, client_cert=files / "ours.crt", client_key=files / "ours.key")
    together = Http(url=url, ca_file=ca_file, client_cert=files / "ours.pem")
    assert [(await look(each)).status for each in (both, together)] == ["up", "up"]
    talk = WebSocket(url=f"wss://127.0.0.1:{port}/", ca_file=ca_file, client_cert=files / "ours.pem")
    assert (await look(talk)).reason.message == "expected status 101, got 200"


async def test_it_is_shown_by_http2_and_through_a_proxy_and_not_to_the_proxy(
    nursery: trio.Nursery, ca_file: Path, files: Path
) -> None:
    made = context(verify_mode=ssl.CERT_REQUIRED)
    CA.configure_trust(made)
    port = await serve_http2(nursery, made, Http2Server(Says(200, b"ok")))
    proxy = await serve_over_tls(nursery, HttpProxy())
    check = Http(
        url=f"https://127.0.0.1:{port}/", ca_file=ca_file, client_cert=files / "ours.pem", http2=True,
        proxy=f"https://127.0.0.1:{proxy}",
    )  # fmt: skip
    assert check.addressing.proxy is not None
    assert check.addressing.proxy.tls == TLS(ca_file=ca_file)
    seen = await look(check, expect=("http_version == '2'",))
    assert seen.status == "up", seen.reason


async def explaining(nursery: trio.Nursery, maximum: ssl.TLSVersion) -> int:
    """A server that wants a certificate and says what is wrong with ours, which Trio's does not."""
    made = context(verify_mode=ssl.CERT_REQUIRED, maximum_version=maximum)
    CA.configure_trust(made)

    async def handler(stream: trio.SocketStream) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = made.wrap_bio(incoming, outgoing, server_side=True)
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                await stream.send_all(outgoing.read())
                incoming.write(await stream.receive_some())
            except ssl.SSLError:
                break
        await stream.send_all(outgoing.read())
        await stream.send_eof()
        while await stream.receive_some():
            pass

    return await serve(nursery, handler)


@pytest.mark.parametrize(
    ("maximum", "shown", "message"),
    [
        (ssl.TLSVersion.TLSv1_3, None, "TLS failed: the server wants a client certificate"),
        (ssl.TLSVersion.TLSv1_3, "theirs.pem", "TLS failed: the server refused the client certificate: unknown ca"),
        (ssl.TLSVersion.TLSv1_2, "theirs.pem", "TLS failed: the server refused the client certificate: unknown ca"),
    ],
)
async def test_without_the_right_one_the_server_says_why(
    nursery: trio.Nursery, ca_file: Path, files: Path, maximum: ssl.TLSVersion, shown: str | None, message: str
) -> None:
    url = f"https://127.0.0.1:{await explaining(nursery, maximum)}/"
    ours = None if shown is None else files / shown
    seen = await look(Http(url=url, ca_file=ca_file, client_cert=ours))
    assert (seen.status, seen.reason.code, seen.reason.message) == ("down", "tls", message)


async def test_nobody_else_is_shown_it(nursery: trio.Nursery, ca_file: Path, files: Path) -> None:
    inner = await explaining(nursery, ssl.TLSVersion.TLSv1_3)
    outer = await serve_tls(nursery, context(), http(302, b"", f"Location: https://127.0.0.1:{inner}/"))
    seen = await look(Http(url=f"https://127.0.0.1:{outer}/", ca_file=ca_file, client_cert=files / "ours.pem"))
    assert seen.reason.message == "TLS failed: the server wants a client certificate"


@pytest.mark.parametrize(
    ("certificate", "key", "option", "message"),
    [
        ("ours.crt", None, "client_cert", "expected a certificate in {d}/ours.crt and its key in {d}/ours.crt, as PEM"),
        ("ours.crt", "theirs.key", "client_key",
         "the key in {d}/theirs.key is not that of the certificate in {d}/ours.crt"),
        ("ours.crt", "ours.crt", "client_key",
         "expected a certificate in {d}/ours.crt and its key in {d}/ours.crt, as PEM"),
        ("ours.crt", "none.key", "client_key", "cannot read {d}/none.key: No such file or directory"),
        ("ours.crt", "locked.key", "client_key", "expected a key without a passphrase in {d}/locked.key"),
        (None, "ours.key", "client_key", "expected client_cert beside client_key"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_a_mistake_of_the_config(
    files: Path, certificate: str | None, key: str | None, option: str, message: str
) -> None:
    lock(files / "ours.key", files / "locked.key")
    named: Callable[[str | None], Path | None] = lambda name: None if name is None else files / name  # noqa: E731
    with pytest.raises(OptionError) as caught:
        Http(url="https://example.org/", client_cert=named(certificate), client_key=named(key))
    assert (caught.value.option, str(caught.value)) == (option, message.format(d=files))


def lock(key: Path, locked: Path) -> None:
    """Write *key* once more, with a passphrase."""
    from cryptography.hazmat.primitives import serialization as form

    loaded = form.load_pem_private_key(key.read_bytes(), None)
    secret = form.BestAvailableEncryption(b"secret")
    locked.write_bytes(loaded.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, secret))


async def test_a_client_certificate_that_vanishes_is_the_monitors_own_trouble(
    nursery: trio.Nursery, ca_file: Path, files: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.pem"
    mine.write_bytes((files / "ours.pem").read_bytes())
    check = Http(url=f"https://127.0.0.1:{await asking(nursery)}/", ca_file=ca_file, client_cert=mine)
    mine.unlink()
    seen = await look(check)
    assert (seen.status, seen.reason.code) == ("unknown", "internal")
    assert seen.reason.message == f"cannot read {mine}: No such file or directory"
