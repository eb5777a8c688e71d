"""The smtp sink against a real server on loopback, good and hostile: who gets what, and what each answer means."""

from __future__ import annotations

import logging
import ssl
import time
import traceback
from datetime import UTC, datetime
from typing import Any

import pytest
import trio
import trustme
from support.documents import FIRING, NASTY, RESOLVED, STORIES, body_of
from support.smtp import mail_server

from monitor.api import DeliveryError, OptionError
from monitor.config import SinkSettings
from monitor.core.quantities import Duration
from monitor.net.sockets import SocketNet
from monitor.outbox.attempt import Delivered, attempt
from monitor.sinks.smtp import Smtp
from monitor.system import SystemClock
from monitor.telling import Message

NOW = datetime(2026, 11, 22, 15, 0, 11, tzinfo=UTC)


def message(*documents: dict[str, Any], ident: str = "a-1", attempt: int = 1) -> Message:
    last = documents[-1]
    return Message(
        id=ident,
        body=body_of(last),
        document=last,
        documents=documents,
        attempt=attempt,
        now=NOW,
        net=SocketNet(),
        clock=SystemClock(),
        sink="mail",
    )


def smtp(server: Any, **options: Any) -> Smtp:
    given = {
        "host": "127.0.0.1",
        "port": server.port,
        "tls": "none",
        "from_": "monitor@example.org",
        "to": ("a@x.test",),
    }
    return Smtp(**(given | options))


async def refusal(sink: Smtp, *documents: dict[str, Any]) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught, trio.fail_after(10):
        await sink.send(message(*documents or (FIRING,)))
    return caught.value


async def test_it_arrives_as_people_read_it():
    async with mail_server() as server:
        with trio.fail_after(10):
            said = await smtp(
                server, from_="The Monitor <monitor@example.org>", to=("Ops <a@x.test>", "b@x.test")
            ).send(message(FIRING))
    assert said == "250 2.0.0 queued as 7"
    [(sender, recipients, mail)] = server.mails
    assert (sender, recipients) == ("monitor@example.org", ["a@x.test", "b@x.test"])
    assert mail["Subject"] == "shop is down"
    assert mail["From"] == "The Monitor <monitor@example.org>"
    assert mail["To"] == "Ops <a@x.test>, b@x.test"
    assert mail["Date"] == "Sun, 22 Nov 2026 15:00:10 +0000"
    assert mail["Message-ID"] == "<a-1@example.org>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content().splitlines()[:3] == ["shop is down", "", "expected status 200-299, got 503"]


async def test_a_duplicate_is_the_same_bytes_under_the_same_id():
    async with mail_server() as server:
        sink = smtp(server)
        await sink.send(message(FIRING))
        await sink.send(message(FIRING, attempt=2))
    first, second = (mail for _, _, mail in server.mails)
    assert first.as_bytes() == second.as_bytes()


async def test_the_mails_of_an_incident_are_a_thread():
    async with mail_server() as server:
        sink = smtp(server)
        await sink.send(message(FIRING))
        await sink.send(message(RESOLVED, ident="a-2"))
    first, second = (mail for _, _, mail in server.mails)
    assert first["References"] == second["References"] != ""
    assert first["Message-ID"] != second["Message-ID"]


@pytest.mark.parametrize("story", [*STORIES, "nasty"])
async def test_every_alert_can_be_sent(story):
    async with mail_server() as server:
        with trio.fail_after(10):
            await smtp(server).send(message(*STORIES.get(story, (NASTY,))))
    [(_, _, mail)] = server.mails
    assert len(mail["Subject"]) <= 200


class TestRecipients:
    async def test_those_refused_for_good_hold_back_nobody(self, caplog):
        async with mail_server(answers={"RCPT b@x.test": "550 no such user"}) as server:
            await smtp(server, to=("a@x.test", "b@x.test")).send(message(FIRING))
        assert [recipients for _, recipients, _ in server.mails] == [["a@x.test"]]
        assert "a mail was delivered, but not to everybody: 550 no such user" in caplog.text

    async def test_all_refused_for_good_is_a_refusal(self):
        async with mail_server(answers={"RCPT a@x.test": "550 5.1.1 no such user"}) as server:
            error = await refusal(smtp(server))
        assert (str(error), error.status) == ("the recipients were refused: 550 5.1.1 no such user", 422)
        assert server.mails == []

    async def test_those_put_off_are_tried_again_alone(self):
        async with mail_server(answers={"RCPT b@x.test": "451 come back later"}) as server:
            sink = smtp(server, to=("a@x.test", "b@x.test"))
            error = await refusal(sink)
            assert (str(error), error.status) == ("1 of the recipients were put off: 451 come back later", None)
            server.answers.clear()
            await sink.send(message(FIRING, attempt=2))
        assert [recipients for _, recipients, _ in server.mails] == [["a@x.test"], ["b@x.test"]]
        first, second = (mail for _, _, mail in server.mails)
        assert first["Message-ID"] == second["Message-ID"]

    async def test_after_a_restart_everybody_gets_it_rather_than_nobody(self):
        async with mail_server(answers={"RCPT b@x.test": "451 come back later"}) as server:
            await refusal(smtp(server, to=("a@x.test", "b@x.test")))
            server.answers.clear()
            await smtp(server, to=("a@x.test", "b@x.test")).send(message(FIRING, attempt=2))
        assert [recipients for _, recipients, _ in server.mails] == [["a@x.test"], ["a@x.test", "b@x.test"]]

    async def test_put_off_and_then_refused_is_delivered_to_the_others(self):
        async with mail_server(answers={"RCPT b@x.test": "451 later"}) as server:
            sink = smtp(server, to=("a@x.test", "b@x.test"))
            await refusal(sink)
            server.answers["RCPT b@x.test"] = "550 never"
            await sink.send(message(FIRING, attempt=2))
        assert len(server.mails) == 1


class TestAnswers:
    @pytest.mark.parametrize(
        ("command", "answer", "text", "status"),
        [
            ("CONNECT", "421 too busy", "the server says 421 too busy", None),
            ("CONNECT", "554 go away", "the server says 554 go away", 422),
            ("MAIL", "550 not you", "the server says 550 not you", 422),
            ("MAIL", "452 disk full", "the server says 452 disk full", None),
            ("DATA", "554 no", "the server says 554 no", 422),
            ("END", "554 5.7.1 spam", "the server says 554 5.7.1 spam", 422),
            ("END", "451 try again", "the server says 451 try again", None),
            ("CONNECT", "hang up", "the server hung up", None),
            ("MAIL", "hang up", "the server hung up", None),
            ("END", "hang up", "the server hung up", None),
        ],
    )
    async def test_each_means_what_the_outbox_does_next(self, command, answer, text, status):
        async with mail_server(answers={command: answer}) as server:
            error = await refusal(smtp(server))
        assert (str(error), error.status) == (text, status)
        assert server.mails == []

    async def test_a_mail_that_was_taken_is_delivered_whatever_follows(self):
        for farewell in ("hang up", "mute", "drip", "500 what?"):
            async with mail_server(answers={"QUIT": farewell}) as server:
                with trio.fail_after(2):
                    await smtp(server).send(message(FIRING))
            assert len(server.mails) == 1

    async def test_nobody_there_is_trouble_of_the_network(self):
        async with mail_server() as server:
            pass
        error = await refusal(smtp(server))
        assert error.status is None
        assert "refused" in str(error)

    @pytest.mark.parametrize("command", ["CONNECT", "EHLO", "MAIL", "RCPT a@x.test", "DATA", "END"])
    @pytest.mark.parametrize("how", ["drip", "mute"])
    async def test_the_deadline_holds_and_no_thread_is_left(self, command, how):
        async with mail_server(answers={command: how}) as server:
            settings = SinkSettings(name="mail", kind="smtp", sink=smtp(server), give_up_after=Duration.parse("1d"))
            began = time.monotonic()
            outcome = await attempt(settings, [message(FIRING)], timeout=0.3, log=logging.getLogger("test"))
            assert isinstance(outcome, DeliveryError)
            assert time.monotonic() - began < 5
            limiter = settings.sink._limiter
            with trio.fail_after(5):
                while limiter.borrowed_tokens:
                    await trio.sleep(0.01)
        assert server.mails == []

    @pytest.mark.parametrize(("mode", "answers"), [("tls", {"CONNECT": "mute"}), ("starttls", {"EHLO": "drip"})])
    async def test_the_deadline_holds_also_while_tls_begins(self, mode, answers):
        async with mail_server(answers=answers) as server:
            sink = smtp(server, tls=mode)
            with trio.move_on_after(0.3) as scope:
                await sink.send(message(FIRING))
            with trio.fail_after(5):
                while sink._limiter.borrowed_tokens:
                    await trio.sleep(0.01)
        assert scope.cancelled_caught

    async def test_one_that_hangs_takes_no_thread_from_another(self):
        hanging = mail_server(answers={"CONNECT": "mute"})
        async with hanging as hangs, mail_server() as well, trio.open_nursery() as nursery:
            stuck = smtp(hangs)
            for number in range(10):
                nursery.start_soon(stuck.send, message(FIRING, ident=str(number)))
            while hangs.open < 4:
                await trio.sleep(0.01)
            with trio.fail_after(5):
                await smtp(well).send(message(FIRING))
            nursery.cancel_scope.cancel()
        assert len(well.mails) == 1


class TestTLS:
    @pytest.fixture
    def authority(self):
        return trustme.CA()

    @pytest.fixture
    def context(self, authority):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        return context

    @pytest.fixture
    def ca_file(self, authority, tmp_path):
        file = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(file)
        return file

    @pytest.mark.parametrize("mode", ["starttls", "tls"])
    async def test_it_signs_in_and_sends(self, context, ca_file, mode):
        options = {"tls": context, "starttls": mode == "starttls", "login": "\0me\0p@ss"}
        async with mail_server(**options) as server:
            sink = smtp(server, tls=mode, ca_file=ca_file, username="me", password="p@ss")
            outcome = await attempt(
                SinkSettings(name="mail", kind="smtp", sink=sink, give_up_after=Duration.parse("1d")),
                [message(FIRING)],
                timeout=10,
                log=logging.getLogger("test"),
            )
        assert outcome == Delivered("250 2.0.0 queued as 7")
        assert len(server.mails) == 1

    @pytest.mark.parametrize("mode", ["starttls", "tls"])
    async def test_a_stranger_is_not_trusted(self, context, mode):
        async with mail_server(tls=context, starttls=mode == "starttls", login="\0me\0p@ss") as server:
            error = await refusal(smtp(server, tls=mode, username="me", password="p@ss"))
            assert "certificate is not trusted" in str(error)
            await smtp(server, tls=mode, verify=False).send(message(FIRING))
        assert not any(command.startswith("AUTH") for command in server.commands)

    async def test_a_wrong_password_is_for_somebody_to_mend(self, context, ca_file):
        async with mail_server(tls=context, starttls=True, login="\0me\0p@ss") as server:
            error = await refusal(smtp(server, tls="starttls", ca_file=ca_file, username="me", password="hunter22"))
        assert error.status == 401
        assert "535" in str(error)
        assert "hunter22" not in "".join(traceback.format_exception(error))

    async def test_without_starttls_there_nothing_is_sent_in_clear(self):
        async with mail_server() as server:
            error = await refusal(smtp(server, tls="starttls"))
        assert error.status == 401
        assert not any(command.startswith("MAIL") for command in server.commands)


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"host": ""}, "host"),
        ({"host": "a b"}, "host"),
        ({"port": 0}, "port"),
        ({"from_": "monitor"}, "from"),
        ({"from_": "a@x.test, b@x.test"}, "from"),
        ({"to": ()}, "to"),
        ({"to": ("a@x.test", "b@x.test\r\nBcc: c@x.test")}, "to[1]"),
        ({"to": ("@x.test",)}, "to[0]"),
        ({"username": "me", "tls": "tls"}, "password"),
        ({"password": "p", "tls": "tls"}, "username"),
        ({"username": "me", "password": "p", "tls": "none"}, "tls"),
    ],
)
def test_options_that_cannot_be_are_refused(options, option):
    given = {"host": "mail.example.org", "from_": "monitor@example.org", "to": ("a@x.test",)}
    with pytest.raises(OptionError) as caught:
        Smtp(**(given | options))
    assert caught.value.option == option


def test_no_password_is_in_its_repr():
    sink = Smtp(host="mail.test", from_="a@x.test", to=("a@x.test",), username="me", password="hunter22")
    assert "hunter22" not in repr(sink)
