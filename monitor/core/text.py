"""Text for people: what came from outside made safe for a terminal, a log line or a page; numbers with their noun."""

from __future__ import annotations

import json
import re
from urllib.parse import urlsplit


def printable(text: str) -> str:
    r"""*text* with everything that is not printable escaped: `\x1b`, `\n`, `\u202e`; the rest stays as it is."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def visible_json(text: str) -> str:
    r"""JSON with what is not printable in its strings escaped, `\u009b`, `\u202e`: on a terminal it is no command.

    It is the same JSON; line breaks, which are between its values only, stay.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """*number* of *noun*: `1 endpoint`, `2 endpoints`; *plural* where it is another word."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"


def host_and_port(host: str, port: int) -> str:
    """As in a URL: `example.org:443`, `[::1]:443`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def silent_about(url: str, text: str) -> str:
    """*text* without any part of *url* that it may hold: such a URL is often a password in itself."""
    parts = urlsplit(url)
    pieces = {url, parts.netloc, parts.hostname, parts.path, parts.query, parts.username, parts.password}
    for piece in sorted((piece for piece in pieces if piece and piece != "/"), key=len, reverse=True):
        text = re.sub(rf"(?<![\w.-]){re.escape(piece)}(?![\w-])", "***", text, flags=re.IGNORECASE)
    return text


def _escaped(character: str) -> str:
    number = ord(character)
    match character:
        case "\n" | "\r" | "\t":
            return repr(character)[1:-1]
        case _ if number < 0x100:
            return f"\\x{number:02x}"
        case _ if number < 0x10000:
            return f"\\u{number:04x}"
        case _:
            return f"\\U{number:08x}"


def percent(fraction: float) -> str:
    """An uptime for people, never rounded up to what it is not: `100 %`, `99.98 %`."""
    if fraction >= 1:
        return "100 %"
    return f"{int(fraction * 10_000) / 100:.2f} %"
