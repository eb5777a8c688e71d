"""The test kit for sinks: what an author of one writes."""

from __future__ import annotations

import attrs
import pytest
import trio

from monitor.api import DeliveryError, Message, Sink, check_option
from monitor.sinks.log import Log
from monitor.sinks.webhook import Webhook
from monitor.testing import an_alert, answers, sink_of, tell


@attrs.frozen(kw_only=True)
class Slow(Sink):
    """Takes its time."""

    seconds: float = check_option(doc="how long")

    async def send(self, message: Message) -> str:
        """Wait, then say what it is about."""
        await trio.sleep(self.seconds)
        return str(message.document["type"])


def test_an_alert_arrives() -> None:
    assert tell(sink_of(Webhook, url="https://hooks.test/x", format="slack"), answers(200)) == "HTTP 200"


def test_a_refusal_is_a_delivery_error() -> None:
    told = tell(sink_of(Webhook, url="http://hooks.test/x"), answers(503, headers=[("Retry-After", "7")]))
    assert isinstance(told, DeliveryError)
    assert (str(told), told.status, told.retry_after) == ("HTTP 503", 503, 7)


def test_nobody_there_is_one_too() -> None:
    told = tell(sink_of(Webhook, url="http://hooks.test/x"))
    assert isinstance(told, DeliveryError)
    assert str(told).startswith("connection refused")


def test_time_is_virtual() -> None:
    assert tell(sink_of(Slow, seconds=9.0), alert="resolved") == "alert.resolved"
    assert str(tell(sink_of(Slow, seconds=1e6))) == "no answer within 10 s"


def test_a_mistake_in_the_options_is_told() -> None:
    with pytest.raises(ValueError, match="is missing"):
        sink_of(Slow)


@pytest.mark.parametrize("kind", ["firing", "reminder", "resolved", "flapping", "self", "test"])
def test_every_kind_of_alert_goes_through_the_built_in_sinks(kind: str) -> None:
    assert an_alert(kind)["type"] == f"alert.{kind}"
    assert tell(sink_of(Log), alert=kind) is None
    for form in ("alertmanager", "alertmanager-api", "slack", "discord", "ntfy"):
        assert tell(sink_of(Webhook, url="http://hooks.test/x", format=form), answers(202), alert=kind) == "HTTP 202"


@pytest.mark.parametrize(
    "form", ["standard", "alertmanager", "alertmanager-api", "slack", "discord", "ntfy", "pagerduty"]
)
@pytest.mark.parametrize("server", [None, answers(400, b"no T0KEN"), answers(503, b"no T0KEN")])
def test_no_format_tells_where_it_goes_or_with_what(form, server) -> None:
    options = {"routing_key": "R0UTING"} if form == "pagerduty" else {}
    sink = sink_of(Webhook, url="http://user:hunter22@secret-host.test/T0KEN?key=K3Y", format=form, **options)
    told = str(tell(sink, server)) + repr(sink)
    for secret in ("T0KEN", "hunter22", "K3Y", "R0UTING", "secret-host"):
        assert secret not in told
