"""The steps of a WebSocket conversation, as a config says them; for the check `websocket`."""

from __future__ import annotations

import attrs

from monitor.api import Duration, Expression, Fact, check_option

STEP_FACTS = {
    "text": Fact("text", "the message, if it is text"),
    "json": Fact(None, "the message as JSON"),
    "binary": Fact(b"", "the message, if it is binary"),
    "size": Fact(1, "its size in bytes"),
}


@attrs.frozen(kw_only=True)
class Step:
    """One step: send something, or wait for a message, or ping."""

    send: str | None = check_option(default=None, doc="text to send")
    expect: Expression | None = check_option(default=None, doc="wait for a message for which this is true")
    ping: bool = check_option(default=False, doc="ping, and wait for the pong")
    next: bool = check_option(default=False, doc="the next message must be it, none is skipped")
    within: Duration | None = check_option(default=None, doc="how long to wait; default: what the deadline leaves")

    def __attrs_post_init__(self) -> None:
        if (self.send is not None) + (self.expect is not None) + self.ping != 1:
            raise ValueError("expected exactly one of send, expect and ping")
        if self.next and self.expect is None:
            raise ValueError("expected next only beside expect")
        if self.within is not None and self.send is not None:
            raise ValueError("expected within only beside expect or ping")
