"""Heartbeats over HTTP, through the real server: the callers of Uptime Kuma and of Healthchecks as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from support.face import PlainFace, start

if TYPE_CHECKING:
    import trio

TOKEN = "t0ken-of-public"
GOOD = [
    ("GET", TOKEN, (None, "", None)),
    ("POST", TOKEN, (None, "", None)),
    ("HEAD", TOKEN, (None, "", None)),
    ("GET", f"{TOKEN}?status=up&msg=OK&ping=", (None, "OK", None)),  # as Uptime Kuma shows it
    ("GET", f"{TOKEN}?status=down&msg=disk%20full&ping=12.5", ("down", "disk full", 0.0125)),
    ("GET", f"{TOKEN}?status=up&msg=OK&ping=soon", (None, "OK", None)),
    ("GET", f"{TOKEN}?ping=-1", (None, "", None)),
    ("GET", f"{TOKEN}?ping=nan", (None, "", None)),
    ("GET", f"{TOKEN}?rid=1234&create=1", (None, "", None)),  # what Healthchecks' callers add
    ("GET", f"{TOKEN}/start", ("start", "", None)),
    ("POST", f"{TOKEN}/fail", ("down", "", None)),
    ("GET", f"{TOKEN}/log", ("log", "", None)),
    ("GET", f"{TOKEN}/0", (None, "", None)),
    ("POST", f"{TOKEN}/127", ("down", "", None)),
    ("GET", f"{TOKEN}?msg=a%1b[31mred", (None, "a\\x1b[31mred", None)),
]
BAD = [f"{TOKEN}?status=maybe", f"{TOKEN}/stop", f"{TOKEN}/256", f"{TOKEN}/-1", f"{TOKEN}/%D9%A3"]


async def ask(nursery: trio.Nursery, face: PlainFace, method: str, path: str, **more: Any) -> httpx.Response:
    base = f"http://127.0.0.1:{await start(nursery, face)}/api/v1/heartbeat/"
    async with httpx.AsyncClient() as http:
        return await http.request(method, base + path, **more)


@pytest.mark.parametrize(("method", "path", "pushed"), GOOD)
async def test_what_a_caller_says(
    nursery: trio.Nursery, method: str, path: str, pushed: tuple[str | None, str, float | None]
) -> None:
    face = PlainFace()
    answer = await ask(nursery, face, method, path)
    assert answer.status_code == 200, answer.text
    assert method == "HEAD" or answer.json() == {"ok": True}
    assert face.pushes == [(TOKEN, *pushed)]


async def test_the_first_line_of_a_body_is_the_message(nursery: trio.Nursery) -> None:
    face = PlainFace()
    await ask(nursery, face, "POST", f"{TOKEN}/1", content=b"\n  rsync: no space left  \nmore\n")
    await ask(nursery, face, "POST", f"{TOKEN}?msg=said", content=b"ignored")
    await ask(nursery, face, "POST", TOKEN, content=b"x" * 1000)
    assert [each[2] for each in face.pushes] == ["rsync: no space left", "said", "x" * 500]
    assert (await ask(nursery, face, "POST", TOKEN, content=b"x" * 70_000)).status_code == 413


@pytest.mark.parametrize("path", BAD)
async def test_what_cannot_be_understood_is_refused_and_changes_nothing(nursery: trio.Nursery, path: str) -> None:
    face = PlainFace()
    answer = await ask(nursery, face, "GET", path)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert {each[1] for each in face.pushes} == {"log"}, "only asked whether it is there"


async def test_who_has_no_token_learns_nothing(nursery: trio.Nursery) -> None:
    face = PlainFace()
    asked = ("wrong-token", "wrong-token?status=maybe", "wrong-token/stop", "nothing/at/all")
    answers = [await ask(nursery, face, "GET", path) for path in asked]
    assert {(each.status_code, each.content) for each in answers} == {(404, answers[0].content)}
