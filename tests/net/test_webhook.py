"""The webhook against a real receiver on loopback: what arrives there, and what each answer means.

No autojump here, because there are sockets; where time would pass, the limit is given and short.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import ssl
import traceback
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

import pytest
import standardwebhooks
import trio
import trustme
from support.memory_store import MemoryStore, Row
from support.ports import PlainRand
from support.receiver import Answer, receiver

from monitor.api import DeliveryError, OptionError, Template
from monitor.config import SinkSettings
from monitor.core.model import Alert
from monitor.core.quantities import Duration
from monitor.net.sockets import SocketNet
from monitor.outbox import Outbox
from monitor.sinks.webhook import Webhook
from monitor.system import SystemClock
from monitor.telling import Message

NOW = datetime(2026, 11, 22, 15, 0, 10, 999000, tzinfo=UTC)
BODY = '{"type":"alert.firing","data":{"id":"a-1","name":"Käse 💥"}}'.encode()
KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
OTHER = "whsec_" + base64.b64encode(bytes(64)).decode()


def message(**changes: Any) -> Message:
    values: dict[str, Any] = {
        "id": "a-1",
        "body": BODY,
        "document": {},
        "attempt": 1,
        "now": NOW,
        "net": SocketNet(),
        "clock": SystemClock(),
    }
    return Message(**(values | changes))


def by_hand(key: bytes, ident: str, seconds: int, body: bytes) -> str:
    """The signature as the specification writes it."""
    signed = f"{ident}.{seconds}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


async def refusal(webhook: Webhook, **changes: Any) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught, trio.fail_after(5):
        await webhook.send(message(**changes))
    return caught.value


async def test_the_alert_arrives_byte_for_byte():
    async with receiver() as served:
        await Webhook(url=served.url + "?to=me#part", headers={"X-Team": "shop"}).send(message())
    [got] = served.received
    assert (got.method, got.target, got.body) == ("POST", "/hook?to=me", BODY)
    assert got.headers["content-type"] == "application/json"
    assert got.headers["user-agent"] == f"nursery-monitor/{version('nursery-monitor')}"
    assert got.headers["webhook-id"] == "a-1"
    assert got.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert got.headers["x-team"] == "shop"
    assert "webhook-signature" not in got.headers


async def test_the_signature_is_the_specifications():
    async with receiver() as served:
        await Webhook(url=served.url, secret=SECRET).send(message())
        # A moment in another zone is the same moment.
        await Webhook(url=served.url, secret=SECRET).send(message(now=NOW.astimezone(tz=_zone(5))))
    for got in served.received:
        assert got.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
        assert got.headers["webhook-signature"] == by_hand(KEY, "a-1", int(NOW.timestamp()), BODY)


def _zone(hours: int) -> Any:
    from datetime import timezone

    return timezone(timedelta(hours=hours))


async def test_the_library_verifies_it():
    async with receiver() as served:
        await Webhook(url=served.url, secret=SECRET).send(message(now=SystemClock().wall()))
    [got] = served.received
    assert standardwebhooks.Webhook(SECRET).verify(got.body, got.headers)["type"] == "alert.firing"
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(OTHER).verify(got.body, got.headers)


async def test_while_a_secret_rotates_each_signs():
    async with receiver() as served:
        await Webhook(url=served.url, secret=[SECRET, "", OTHER]).send(message(now=SystemClock().wall()))
    [got] = served.received
    seconds = int(got.headers["webhook-timestamp"])
    signatures = [by_hand(KEY, "a-1", seconds, BODY), by_hand(bytes(64), "a-1", seconds, BODY)]
    assert got.headers["webhook-signature"] == " ".join(signatures)
    for secret in (SECRET, OTHER):
        standardwebhooks.Webhook(secret).verify(got.body, got.headers)


def outbox_for(store: MemoryStore, sink: Webhook, **options: Any) -> Outbox:
    settings = SinkSettings(name="ops", kind="webhook", sink=sink, give_up_after=Duration.parse("3d"))
    return Outbox(
        store,
        {"ops": settings},
        net=SocketNet(),
        clock=SystemClock(),
        rand=PlainRand(),
        log=logging.getLogger("test"),
        mask=str,
        **options,
    )


def owed(store: MemoryStore) -> Row:
    """One delivery, due now."""
    [number] = store.owe(
        Alert(id="a-1", type="alert.firing", endpoint=None, created_at=SystemClock().wall(), body=BODY, sinks=("ops",))
    )
    return store.rows[number]


async def test_every_try_of_the_outbox_has_the_same_id_and_bytes():
    store = MemoryStore()
    async with receiver(Answer(503), Answer(500, drip=True), Answer(200, body=b"ok")) as served:
        outbox = outbox_for(store, Webhook(url=served.url, secret=SECRET))
        row = owed(store)
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                await nursery.start(outbox.run)
                while row.state == "pending":
                    row.not_before = SystemClock().wall()  # the back-off is another test's matter
                    await outbox.drained()
                nursery.cancel_scope.cancel()
    assert [got.body for got in served.received] == [BODY] * 3
    assert {got.headers["webhook-id"] for got in served.received} == {"a-1"}
    assert (row.state, row.delivery.attempts) == ("delivered", 3)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_2xx_is_delivered(status):
    async with receiver(Answer(status, body=b"" if status == 204 else b"thanks")) as served:
        await Webhook(url=served.url).send(message())
    assert served.cut_off == 0


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, drip=True),
        Answer(200, body=b"x" * 1024 * 1024),
        Answer(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", then=b"nonsense"),
        Answer(raw=b"HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\n\r\ncut"),
    ],
    ids=["endless", "large", "broken", "cut"],
)
async def test_a_2xx_stands_whatever_becomes_of_the_rest(answer):
    async with receiver(answer) as served:
        with trio.fail_after(5):
            await Webhook(url=served.url).send(message())


async def test_a_2xx_stands_also_when_we_are_stopped_while_we_read_it():
    delivered = False
    async with receiver(Answer(200, drip=True)) as served:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def stop() -> None:
                    await served.arrived.wait()
                    await trio.sleep(0.1)  # by now the head is there, and the body never ends
                    scope.cancel()

                nursery.start_soon(stop)
                await Webhook(url=served.url).send(message())
                delivered = True
    assert delivered


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects_are_not_followed(status):
    async with receiver() as elsewhere, receiver(Answer(status, {"Location": elsewhere.url})) as served:
        error = await refusal(Webhook(url=served.url, secret=SECRET))
    assert (str(error), error.status, error.retry_after) == (f"HTTP {status}", status, None)
    assert elsewhere.received == []


@pytest.mark.parametrize("status", [400, 401, 404, 408, 410, 422, 425, 429, 500, 502, 503])
async def test_other_answers_are_failures_with_their_status(status):
    async with receiver(Answer(status, body=b"go away")) as served:
        error = await refusal(Webhook(url=served.url))
    assert (str(error), error.status) == (f"HTTP {status}", status)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Sun, 22 Nov 2026 15:01:10 GMT", 59.001),
        ("Sunday, 22-Nov-26 15:01:10 GMT", 59.001),
        ("Sun Nov 22 15:01:10 2026", 59.001),
        ("Sun, 22 Nov 2026 14:00:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("1e3", None),
        ("9" * 5000, None),
        ("Sun, 22 Nov 99999 15:01:10 GMT", None),
        ("", None),
    ],
)
async def test_retry_after_is_a_number_or_a_date(value, seconds):
    async with receiver(Answer(503, {"Retry-After": value})) as served:
        error = await refusal(Webhook(url=served.url))
    assert error.retry_after == seconds


async def test_trouble_of_the_network_is_told_without_the_address():
    error = await refusal(Webhook(url="http://user:hunter22@localhost:1/services/T0KEN?key=S3CRET"))
    assert str(error).startswith("connection refused")
    assert error.status is None
    for part in ("user", "hunter22", "localhost", "T0KEN", "S3CRET", "services"):
        assert part not in str(error)


async def test_a_name_that_does_not_resolve_is_not_told():
    error = await refusal(Webhook(url="http://secret-host.invalid/hook"))
    assert "secret-host" not in str(error)
    assert str(error)


@pytest.mark.parametrize("raw", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200"])
async def test_no_answer_at_all_is_trouble_of_the_network(raw):
    async with receiver(Answer(raw=raw)) as served:
        error = await refusal(Webhook(url=served.url))
    assert error.status is None


async def test_a_mute_receiver_is_given_up_by_the_outbox():
    store = MemoryStore()
    async with receiver(Answer(mute=True)) as served:
        outbox = outbox_for(store, Webhook(url=served.url), try_timeout=0.2)
        row = owed(store)
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                await nursery.start(outbox.run)
                await outbox.drained()
                nursery.cancel_scope.cancel()
    assert (row.state, row.error) == ("pending", "no answer within 200 ms")


async def test_a_users_name_and_password_in_the_url_are_sent_as_such():
    async with receiver() as served:
        await Webhook(url=f"http://me:p%40ss@127.0.0.1:{served.port}/hook").send(message())
    [got] = served.received
    assert got.headers["authorization"] == "Basic " + base64.b64encode(b"me:p@ss").decode()
    assert got.target == "/hook"


async def test_nothing_is_logged_of_the_url(caplog):
    caplog.set_level(logging.DEBUG)
    async with receiver(Answer(503)) as served:
        await refusal(Webhook(url=served.url + "/T0KEN", secret=SECRET))
    assert "T0KEN" not in caplog.text


class TestTLS:
    @pytest.fixture
    def authority(self):
        return trustme.CA()

    @pytest.fixture
    def context(self, authority):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        return context

    async def test_a_stranger_is_not_trusted(self, context):
        async with receiver(tls=context) as served:
            error = await refusal(Webhook(url=served.url))
        assert str(error).startswith("certificate ")
        assert "127.0.0.1" not in str(error)
        assert served.received == []

    async def test_one_whose_authority_is_in_ca_file_is(self, context, authority, tmp_path):
        file = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(file)
        async with receiver(tls=context) as served:
            await Webhook(url=served.url, ca_file=file).send(message())
        assert [got.body for got in served.received] == [BODY]

    async def test_anyone_is_with_verify_off(self, context):
        async with receiver(tls=context) as served:
            await Webhook(url=served.url, verify=False).send(message())
        assert len(served.received) == 1


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "an empty string"),
        ("hooks.example.org/hunter22", "scheme"),
        ("ftp://hunter22.example.org/", "scheme"),
        ("https:///hunter22", "without a host"),
        ("https://hunter22.example.org:0/", "a port out of range 1-65535"),
        ("https://hunter22.example.org:65536/", "a port out of range 1-65535"),
        ("https://example.org:hunter22/", "a port out of range 1-65535"),
        ("https://[::1/hunter22", "a host that cannot be"),
        ("https://hunter22..example.org/", "a host that cannot be"),
        ("https://" + "hunter22" * 8 + ".example.org/", "a host that cannot be"),
        ("https://xn--\u00fc\u2603\u0301hunter22/", "a host that cannot be"),
        ("https://example.org/a hunter22", "a space or control character"),
        ("https://example.org/hunter22\n", "a space or control character"),
        ("https://example.org/\x00hunter22", "a space or control character"),
    ],
)
def test_a_url_that_cannot_be_is_refused_without_showing_it(url, problem):
    with pytest.raises(OptionError) as caught:
        Webhook(url=url)
    assert caught.value.option == "url"
    assert problem in str(caught.value)
    assert "hunter22" not in str(caught.value)
    assert "hunter22" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("url", ["HTTPS://Hooks.Example.org/x", "http://[::1]:8080/", "https://käse.example/ü?q=1"])
def test_a_url_that_can_be_is_taken(url):
    assert Webhook(url=url).url == url


def encoded(size: int) -> str:
    return base64.b64encode(bytes(size)).decode()


@pytest.mark.parametrize(
    ("secret", "option", "problem"),
    [
        ("hunter22", "secret", "begins otherwise"),
        ("WHSEC_" + encoded(24), "secret", "begins otherwise"),
        ("whsec_", "secret", "0 bytes"),
        ("whsec_" + encoded(23), "secret", "23 bytes"),
        ("whsec_" + encoded(65), "secret", "65 bytes"),
        ("whsec_" + encoded(25).rstrip("="), "secret", "not base64"),
        ("whsec_" + encoded(24)[:-1] + "\u00fc", "secret", "not base64"),
        ("whsec_" + encoded(24) + "\n", "secret", "not base64"),
        ("whsec_" + base64.urlsafe_b64encode(b"\xff" * 24).decode(), "secret", "not base64"),
        ("whsec_" + encoded(25)[:-3] + "B==", "secret", "not strict base64"),
        (["whsec_" + encoded(24), "hunter22"], "secret[1]", "begins otherwise"),
        ([7], "secret[0]", "something else than a string"),
    ],
)
def test_a_secret_that_cannot_be_is_refused_without_showing_it(secret, option, problem):
    with pytest.raises(OptionError) as caught:
        Webhook(url="https://example.org/", secret=secret)
    assert caught.value.option == option
    assert problem in str(caught.value)
    assert "hunter22" not in str(caught.value)
    assert encoded(12) not in str(caught.value)


@pytest.mark.parametrize("secret", ["", [], [""], "whsec_" + encoded(24), ["whsec_" + encoded(64), ""]])
def test_a_secret_that_can_be_is_taken(secret):
    Webhook(url="https://example.org/", secret=secret)


@pytest.mark.parametrize(
    ("options", "option", "problem"),
    [
        ({}, "url", "is missing"),
        ({"format": "slack"}, "url", "is missing"),
        ({"format": "pagerduty"}, "routing_key", 'is missing, and format = "pagerduty" needs it'),
        ({"url": "https://example.org/", "routing_key": "hunter22"}, "routing_key", 'is for format = "pagerduty" only'),
        ({"format": "pagerduty", "routing_key": "hunter22\n"}, "routing_key", "one line"),
        ({"format": "ntfy", "url": "https://ntfy.example.org/"}, "url", "got one without a topic"),
        ({"format": "ntfy", "url": "https://ntfy.example.org/a topic".replace(" ", "%20")}, "url", "without a topic"),
        ({"format": "template", "url": "https://example.org/"}, "template", "is missing"),
        ({"url": "https://example.org/", "template": Template("x")}, "template", 'is for format = "template" only'),
        ({"url": "https://example.org/", "content_type": "text/plain"}, "content_type", "only"),
        ({"url": "https://example.org/", "content_type": "text"}, "content_type", "expected a type such as"),
    ],
)
def test_each_format_says_what_it_needs(options, option, problem):
    with pytest.raises(OptionError) as caught:
        Webhook(**options)
    assert caught.value.option == option
    assert problem in str(caught.value)
    assert "hunter22" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({"X Team": "a"}, 'expected a header name such as "Accept", got "X Team"'),
        ({"": "a"}, 'expected a header name such as "Accept", got ""'),
        ({"X-Team": "a\r\nX: b"}, "X-Team: expected one line of text, got a line break"),
        ({"Webhook-Id": "a"}, "the header Webhook-Id is set by the monitor itself"),
        ({"content-type": "text/plain"}, "the header content-type is set by the monitor itself"),
    ],
)
def test_headers_that_cannot_be_are_refused(headers, problem):
    with pytest.raises(OptionError, match=problem):
        Webhook(url="https://example.org/", headers=headers)


def test_a_ca_file_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(OptionError, match="cannot read"):
        Webhook(url="https://example.org/", ca_file=tmp_path / "none.pem")
    with pytest.raises(OptionError, match="found none"):
        Webhook(url="https://example.org/", ca_file=_written(tmp_path / "empty.pem"))


def _written(path: Any) -> Any:
    path.write_text("")
    return path


def test_no_secret_is_in_its_repr():
    assert "T0KEN" not in repr(Webhook(url="https://example.org/T0KEN", secret=SECRET))
    assert SECRET not in repr(Webhook(url="https://example.org/T0KEN", secret=SECRET))
