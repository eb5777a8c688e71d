"""`POST /-/reload` over the real server: what it answers, and what `/readyz` says after one that was refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from support.face import PlainFace, start

from monitor.config import Access
from monitor.config.changes import Changes, Names
from monitor.core.errors import ConfigError, MonitorError, Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import trio

TOKENS = Access(read_token="r", admin_token="a")
MISTAKES = (
    Problem("config.toml", 12, "endpoint[1].timeout", 'expected a duration such as "5s", got 5'),
    Problem("config.toml", None, "listen", "a change of listen needs a restart"),
)


@pytest.fixture
def face() -> PlainFace:
    return PlainFace(access=TOKENS)


@pytest.fixture
async def admin(nursery: trio.Nursery, face: PlainFace) -> AsyncIterator[httpx.AsyncClient]:
    url = f"http://127.0.0.1:{await start(nursery, face)}"
    async with httpx.AsyncClient(base_url=url, headers={"authorization": "Bearer a"}) as client:
        yield client
    nursery.cancel_scope.cancel()


async def test_it_says_what_changed(face: PlainFace, admin: httpx.AsyncClient) -> None:
    face.reloaded = Changes(endpoints=Names(("new",), ("other",), ("old",)), settings=("external_url",))
    answer = await admin.post("/-/reload")
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "endpoints": {"added": ["new"], "changed": ["other"], "removed": ["old"]},
            "sinks": {"added": [], "changed": [], "removed": []},
            "settings": ["external_url"],
        },
    )


async def test_mistakes_are_a_problem_document_with_their_lines(face: PlainFace, admin: httpx.AsyncClient) -> None:
    face.reloaded = ConfigError(MISTAKES)
    answer = await admin.post("/-/reload")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    document = answer.json()
    assert document["detail"] == "The config has 2 mistakes; everything stays as it was."
    assert document["errors"] == [
        'config.toml:12: endpoint[1].timeout: expected a duration such as "5s", got 5',
        "config.toml: listen: a change of listen needs a restart",
    ]


async def test_when_nothing_can_be_reloaded_it_says_why(face: PlainFace, admin: httpx.AsyncClient) -> None:
    face.reloaded = MonitorError("the monitor is stopping")
    answer = await admin.post("/-/reload")
    assert (answer.status_code, answer.json()["detail"]) == (503, "Nothing was reloaded: the monitor is stopping.")


async def test_a_reader_is_told_what_is_missing(admin: httpx.AsyncClient) -> None:
    answer = await admin.post("/-/reload", headers={"authorization": "Bearer r"})
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert "admin_token" in answer.json()["detail"]
    got = await admin.get("/-/reload")
    assert (got.status_code, got.headers["allow"], got.json()["detail"]) == (405, "POST", "Only POST works here.")
    assert (await admin.put("/api/v1/silences")).json()["detail"] == "Only GET, HEAD and POST work here."


async def test_readyz_tells_readers_that_the_last_reload_was_refused(face: PlainFace, admin: httpx.AsyncClient) -> None:
    face.reload_problems = MISTAKES
    answer = await admin.get("/readyz")
    assert answer.status_code == 200
    assert answer.text.splitlines() == [
        "ready",
        "the last reload was refused, the config before it is in force:",
        'config.toml:12: endpoint[1].timeout: expected a duration such as "5s", got 5',
        "config.toml: listen: a change of listen needs a restart",
    ]
    visitors = await admin.get("/readyz", headers={"authorization": ""})
    assert (visitors.status_code, visitors.text) == (200, "ready\n")
