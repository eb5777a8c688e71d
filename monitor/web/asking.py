"""What a request asks for, read strictly: numbers of the query, a table in the body. AskingError says what is wrong."""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import trio

from monitor.core.quantities import shown
from monitor.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from starlette.requests import Request

LARGEST_ID = 2**63 - 1
_NUMBER = re.compile(r"[0-9]{1,19}")  # int() takes more: signs, spaces, underscores, other scripts
_LARGEST_BODY = 64 * 1024
PATIENCE = 10.0  # seconds for a body


class AskingError(ValueError):
    """A request that cannot be understood; the text is one sentence. It is answered with *status*."""

    def __init__(self, text: str, status: int = 400) -> None:
        """Say what is wrong."""
        super().__init__(text)
        self.status = status


def only(request: Request, names: Collection[str]) -> None:
    """Refuse what the query has beside *names*: a filter that is misspelt must not show everything."""
    for name in request.query_params:
        if name not in names:
            has = f"it has {', '.join(sorted(names))}" if names else "it has none"
            raise AskingError(f"{shown(name)} is no parameter here; {has}.")


def word(request: Request, name: str, words: Collection[str]) -> str | None:
    """The word *name* of the query, one of *words*; None without it."""
    found = request.query_params.get(name) or None
    if found is not None and found not in words:
        *others, last = words
        raise AskingError(f"{name} must be {', '.join(others)} or {last}.")
    return found


def number(request: Request, name: str, default: int, least: int, most: int) -> int:
    """The whole number *name* of the query."""
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
        raise AskingError(f"{name} must be a whole number from {least} to {most}.")
    return int(text)


def flag(request: Request, name: str) -> bool:
    """Is *name* of the query `true`? Without it: no."""
    match request.query_params.get(name, ""):
        case "true":
            return True
        case "" | "false":
            return False
        case _:
            raise AskingError(f"{name} must be true or false.")


async def table(request: Request, **keys: type) -> dict[str, Any]:
    """The JSON object in the body, which has none but *keys*, each of its type; without a body an empty one."""
    content = await body(request)
    if not content:
        return {}
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        raise AskingError("The body must be a JSON object.") from None
    if not isinstance(value, dict):
        raise AskingError("The body must be a JSON object.")
    for key, each in value.items():
        if key not in keys:
            raise AskingError(f"{shown(key)} is no key of this object; it has {', '.join(keys)}.")
        if not _is(each, keys[key]):
            raise AskingError(f"{key} must be {_WORDS[keys[key]]}.")
    return value


async def form(request: Request, *keys: str) -> dict[str, str]:
    """The fields *keys* of a page's form, those that came; of several with one name the last."""
    text = (await body(request)).decode("utf-8", "replace")
    try:
        return {key: value for key, value in parse_qsl(text, max_num_fields=100) if key in keys}
    except ValueError:
        raise AskingError("The form has too many fields.") from None


async def body(request: Request) -> bytes:
    """The body, which may be neither large nor slow."""
    content = bytearray()
    with trio.move_on_after(PATIENCE):
        async with contextlib.aclosing(request.stream()) as chunks:
            async for chunk in chunks:
                content += chunk
                if len(content) > _LARGEST_BODY:
                    raise AskingError("The body is larger than 64 KiB.", 413)
        return bytes(content)
    raise AskingError(f"The body did not come within {PATIENCE:.0f} s.", 408)


def text(asked: Mapping[str, Any], key: str, longest: int) -> str:
    """The text *key* of a table that was *asked* for, printable; empty where there is none."""
    found = printable(str(asked.get(key, "")).strip())
    if len(found) > longest:
        raise AskingError(f"{key} must be at most {longest} characters long.")
    return found


_WORDS = {str: "a text", float: "a number", bool: "true or false", list: "a list"}


def _is(value: object, kind: type) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind)
