"""`heartbeat`: for what cannot be asked, such as a nightly backup; it says itself that it works, and how it went."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

import attrs

from monitor.api import Check, Fact, Lifetime, Probe, Status, Verdict, check_option, seconds_text

_TOKEN = re.compile(r"[A-Za-z0-9_-]{10,128}")


def _token(text: str) -> None:
    if not _TOKEN.fullmatch(text):
        raise ValueError("expected 10-128 letters, digits, - and _ that nobody can guess")  # and never shows it


@attrs.frozen(kw_only=True)
class Heartbeat(Check):
    """Down when no heartbeat has come for `interval` and `grace`, or the last one said that it failed."""

    own_task: ClassVar[bool] = False
    facts: ClassVar[Mapping[str, Fact] | None] = {
        "message": Fact("OK", "what the heartbeat said"),
        "ping": Fact(timedelta(milliseconds=12), "what the sender measured, where it says so"),
        "run_time": Fact(timedelta(seconds=83), "from its `start` to this heartbeat, where there was one"),
    }

    token: str = check_option(doc="the secret end of its URL, /api/v1/heartbeat/TOKEN", validator=_token, secret=True)
    grace: Lifetime = check_option(default=Lifetime(60), doc="how much later than `interval` a heartbeat may come")

    @property
    def target(self) -> str:
        """What people see: not the token."""
        return "heartbeat"

    @property
    def push_token(self) -> str:
        """Who sends this is the endpoint."""
        return self.token

    async def probe(self, probe: Probe) -> Verdict:
        """Look at the last heartbeat."""
        beat = probe.beat
        if beat is None:
            return Verdict.unknown("a heartbeat comes by itself, to a running daemon; nobody can ask for it")
        push = beat.push
        if push is not None:
            probe.facts["message"] = push.message
            if push.ping is not None:
                probe.facts["ping"] = timedelta(seconds=push.ping)
            if push.run_time is not None:
                probe.facts["run_time"] = timedelta(seconds=push.run_time)
        if beat.late:
            every = f"expected one every {seconds_text(beat.interval)}"
            ever = "" if push is not None else " since it is watched"
            return Verdict.down(f"no heartbeat{ever} for {seconds_text(beat.silence)}, {every}")
        if push is None:
            return Verdict.unknown("no heartbeat has come yet")
        if push.status is Status.DOWN:
            return Verdict.down(f"it said that it failed{f': {push.message}' if push.message else ''}")
        return Verdict.up()
