"""TLS as probes meet it: good and bad certificates, what they say as facts, and servers that are no TLS at all."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
import trustme
from support.probes import answers, endpoint, http, look, read_request, serve

from checks.http import Http
from checks.websocket import WebSocket
from monitor.net.sockets import SocketNet
from monitor.probing import probe_once
from monitor.system import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

CA = trustme.CA()


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(path)
    return path


def context(certificate: trustme.LeafCert | None = None, **settings: object) -> ssl.SSLContext:
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    (certificate or CA.issue_cert("127.0.0.1", "shop.example")).configure_cert(made)
    for key, value in settings.items():
        setattr(made, key, value)
    return made


async def serve_tls(
    nursery: trio.Nursery, made: ssl.SSLContext, body: bytes = http(200, b"ok"), *, polite: bool = True
) -> int:
    async def handler(stream: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            await read_request(stream)  # type: ignore[arg-type] # it reads any stream
            await stream.send_all(body)
            if polite:
                await stream.aclose()
            else:
                await trio.aclose_forcefully(stream)
        except (trio.BrokenResourceError, ssl.SSLError):
            await trio.aclose_forcefully(stream)

    listeners = await nursery.start(partial(trio.serve_ssl_over_tcp, handler, 0, made, host="127.0.0.1"))
    return int(listeners[0].transport_listener.socket.getsockname()[1])


async def test_a_trusted_certificate_and_what_it_says(nursery: trio.Nursery, ca_file: Path) -> None:
    expires = datetime.now(UTC) + timedelta(days=20, seconds=5)
    port = await serve_tls(nursery, context(CA.issue_cert("127.0.0.1", not_after=expires)))
    seen = await look(Http(url=f"https://127.0.0.1:{port}/", ca_file=ca_file))
    assert seen.status == "up", seen.reason
    assert list(seen.phases) == ["resolve", "connect", "tls", "processing", "transfer"]
    assert seen.facts["tls_version"] == "1.3"
    assert 20 * 86400 - 60 < seen.facts["cert_expires_in"] < 20 * 86400 + 10
    assert "trustme" in seen.facts["cert_issuer"]
    soon = await look(
        Http(url=f"https://127.0.0.1:{port}/", ca_file=ca_file), expect=("cert_expires_in > duration('720h')",)
    )
    assert soon.reason.message.startswith("expected cert_expires_in > duration('720h'), got cert_expires_in = ")


async def test_the_first_probes_of_one_setting_share_its_context(nursery: trio.Nursery, ca_file: Path) -> None:
    port = await serve_tls(nursery, context())
    net, clock, seen = SocketNet(), SystemClock(), []

    async def probe(name: str) -> None:
        check = Http(url=f"https://127.0.0.1:{port}/{name}", ca_file=ca_file)
        seen.append(await probe_once(endpoint(check), net=net, clock=clock, mask=None))

    async with trio.open_nursery() as together:
        for name in "abc":
            together.start_soon(probe, name)
    assert [each.status for each in seen] == ["up"] * 3, [each.reason for each in seen]


@pytest.mark.parametrize(
    ("certificate", "message"),
    [
        (lambda: trustme.CA().issue_cert("127.0.0.1"), "certificate"),
        (lambda: CA.issue_cert("127.0.0.1", not_after=datetime.now(UTC) - timedelta(days=3, seconds=60)),
         "certificate expired 3 days ago (127.0.0.1)"),
        (lambda: CA.issue_cert("127.0.0.1", not_before=datetime.now(UTC) + timedelta(days=3)),
         "certificate is not yet valid (127.0.0.1)"),
        (lambda: CA.issue_cert("other.example"), "certificate is for another"),
    ],
    ids=["unknown issuer", "expired", "not yet valid", "other host"],
)  # fmt: skip
async def test_a_refused_certificate_is_shown_all_the_same(
    nursery: trio.Nursery, ca_file: Path, certificate: partial[trustme.LeafCert], message: str
) -> None:
    port = await serve_tls(nursery, context(certificate()))
    seen = await look(Http(url=f"https://127.0.0.1:{port}/", ca_file=ca_file))
    assert (seen.status, seen.reason.code, seen.reason.phase) == ("down", "tls", "tls")
    assert seen.reason.message.startswith(message)
    assert "cert_expires_in" in seen.facts
    unverified = await look(Http(url=f"https://127.0.0.1:{port}/", verify=False))
    assert unverified.status == ("degraded" if "expired" in message else "up")
    assert "trustme" in unverified.facts["cert_issuer"]


async def test_the_server_name_is_ours_to_choose(nursery: trio.Nursery, ca_file: Path) -> None:
    port = await serve_tls(nursery, context(CA.issue_cert("shop.example")))
    named = await look(Http(url=f"https://127.0.0.1:{port}/", ca_file=ca_file, server_name="shop.example"))
    pinned = await look(Http(url=f"https://shop.example:{port}/", ca_file=ca_file, address="127.0.0.1"))
    assert (named.status, pinned.status) == ("up", "up")


async def test_min_tls(nursery: trio.Nursery, ca_file: Path) -> None:
    port = await serve_tls(nursery, context(maximum_version=ssl.TLSVersion.TLSv1_2))
    url = f"https://127.0.0.1:{port}/"
    assert (await look(Http(url=url, ca_file=ca_file))).facts["tls_version"] == "1.2"
    seen = await look(Http(url=url, ca_file=ca_file, min_tls="1.3"))
    # Trio's server hangs up without the alert that others send.
    assert (seen.status, seen.reason.code, seen.reason.phase) == ("down", "tls", "tls")


async def hold(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


async def speak_plainly(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def hang_up(stream: trio.SocketStream) -> None:
    await stream.receive_some()


async def test_servers_that_are_no_tls(nursery: trio.Nursery) -> None:
    plain = await serve(nursery, speak_plainly)
    seen = await look(Http(url=f"https://127.0.0.1:{plain}/"))
    assert (seen.reason.code, seen.reason.message) == ("tls", "TLS failed: the server does not speak TLS on this port")
    mute = await serve(nursery, hold)
    seen = await look(Http(url=f"https://127.0.0.1:{mute}/"), timeout=0.3)
    assert (seen.reason.code, seen.reason.message) == ("timeout", "no answer within 300 ms (during tls)")
    rude = await serve(nursery, hang_up)
    seen = await look(Http(url=f"https://127.0.0.1:{rude}/"))
    assert seen.reason.message == "the server closed the connection during the handshake"


async def test_an_end_without_close_notify_cuts_off_only_what_has_no_length(
    nursery: trio.Nursery, ca_file: Path
) -> None:
    whole = await serve_tls(nursery, context(), polite=False)
    assert (await look(Http(url=f"https://127.0.0.1:{whole}/", ca_file=ca_file))).status == "up"
    until_close = b"HTTP/1.1 200 X\r\n\r\nhalf of it"
    ragged = await serve_tls(nursery, context(), until_close, polite=False)
    seen = await look(Http(url=f"https://127.0.0.1:{ragged}/", ca_file=ca_file))
    assert (seen.status, seen.reason.message) == ("down", "the body ended after 10 bytes")
    polite = await serve_tls(nursery, context(), until_close)
    assert (await look(Http(url=f"https://127.0.0.1:{polite}/", ca_file=ca_file))).status == "up"


async def test_no_downgrade_by_redirect(nursery: trio.Nursery, ca_file: Path) -> None:
    plain = await serve(nursery, answers(http(200)))
    port = await serve_tls(nursery, context(), http(302, b"", f"Location: http://127.0.0.1:{plain}/"))
    url = f"https://127.0.0.1:{port}/"
    seen = await look(Http(url=url, ca_file=ca_file))
    assert (seen.reason.code, seen.reason.message) == (
        "policy",
        "redirect from https to http, which allow_downgrade does not allow",
    )
    assert (await look(Http(url=url, ca_file=ca_file, allow_downgrade=True))).status == "up"


async def test_wss(nursery: trio.Nursery, ca_file: Path) -> None:
    port = await serve_tls(nursery, context())
    seen = await look(WebSocket(url=f"wss://127.0.0.1:{port}/", ca_file=ca_file))
    assert (seen.reason.code, seen.reason.message) == ("protocol", "expected status 101, got 200")
    assert seen.facts["tls_version"] == "1.3"
    untrusted = await look(WebSocket(url=f"wss://127.0.0.1:{port}/"))
    assert untrusted.reason.code == "tls"


async def test_a_ca_file_that_vanishes_is_the_monitors_own_trouble(nursery: trio.Nursery, ca_file: Path) -> None:
    port = await serve_tls(nursery, context())
    check = Http(url=f"https://127.0.0.1:{port}/", ca_file=ca_file)
    ca_file.unlink()
    seen = await look(check)
    assert (seen.status, seen.reason.code) == ("unknown", "internal")
