"""The steps of a WebSocket conversation, as a config says them; for the check `websocket`."""

from __future__ import annotations

import json
from typing import Any

import attrs

from checks.options import expression_over, hex_digits, json_value
from monitor.api import Duration, Expression, Fact, check_option

STEP_FACTS = {
    "text": Fact("text", "the message, if it is text"),
    "json": Fact(None, "the message as JSON"),
    "binary": Fact(b"", "the message, if it is binary"),
    "size": Fact(1, "its size in bytes"),
}


@attrs.frozen(kw_only=True)
class Step:
    """One step: send something, or wait for a message or for silence, or ping."""

    send: str | None = check_option(default=None, doc="text to send")
    send_json: Any = check_option(default=None, doc="a value to send as JSON, in a text", validator=json_value)
    send_hex: str | None = check_option(default=None, doc="bytes to send, as hexadecimal digits", validator=hex_digits)
    expect: Expression | None = check_option(
        default=None, doc="wait for a message for which this is true", validator=expression_over(STEP_FACTS)
    )
    silent_for: Duration | None = check_option(default=None, doc="no message must come for so long")
    ping: bool = check_option(default=False, doc="ping, and wait for the pong")
    next: bool = check_option(default=False, doc="the next message must be it, none is skipped")
    within: Duration | None = check_option(default=None, doc="how long to wait; default: what the deadline leaves")

    def __attrs_post_init__(self) -> None:
        sends = sum(each is not None for each in (self.send, self.send_json, self.send_hex))
        waits = sum(each is not None for each in (self.expect, self.silent_for))
        if sends + waits + self.ping != 1:
            raise ValueError("expected exactly one of send, send_json, send_hex, expect, silent_for and ping")
        if self.next and self.expect is None:
            raise ValueError("expected next only beside expect")
        if self.within is not None and self.expect is None and not self.ping:
            raise ValueError("expected within only beside expect or ping")

    @property
    def message(self) -> str | bytes | None:
        """What to send, if anything."""
        if self.send_json is not None:
            return json.dumps(self.send_json, ensure_ascii=False)
        if self.send_hex is not None:
            return bytes.fromhex(self.send_hex)
        return self.send
