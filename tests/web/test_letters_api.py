"""The outbox over HTTP: a reader lists it, an admin puts dead deliveries back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from support.entries import NOW, came_back, went_down
from support.face import PlainFace, shop, start

from monitor.config import Access

if TYPE_CHECKING:
    import trio

ADMIN = {"Authorization": "Bearer admin-token-1"}
READER = {"Authorization": "Bearer reader-token-1"}


@pytest.fixture
async def face() -> PlainFace:
    face = PlainFace([shop()], access=Access(read_token="reader-token-1", admin_token="admin-token-1", public=True))
    down = went_down("shop", "down", sinks=("ops",))
    await face.store.commit(down)
    await face.store.commit(came_back(down, "up"))
    await face.store.bury(1, attempts=5, error="HTTP 400: given up after 5 tries", at=NOW)
    return face


@pytest.fixture
async def http(nursery: trio.Nursery, face: PlainFace) -> Any:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{await start(nursery, face)}") as client:
        yield client


async def test_a_reader_sees_what_waits_and_what_is_dead(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/v1/outbox", headers=READER)
    assert answer.status_code == 200
    seen = answer.json()
    assert (seen["pending"], seen["dead"], seen["next"]) == (1, 1, None)
    assert seen["deliveries"][0] == {
        "id": 1,
        "state": "dead",
        "obsolete": False,
        "sink": "ops",
        "endpoint": "shop",
        "type": "alert.firing",
        "alert": "down",
        "created_at": "2026-11-22T15:00:00.123Z",
        "attempts": 5,
        "first_try_at": None,
        "next_try_at": None,
        "given_up_at": "2026-11-22T15:00:00.123Z",
        "error": "HTTP 400: given up after 5 tries",
    }
    assert [each["state"] for each in seen["deliveries"]] == ["dead", "pending"]


async def test_it_comes_in_pages(http: httpx.AsyncClient) -> None:
    first = (await http.get("/api/v1/outbox?limit=1", headers=READER)).json()
    assert ([each["id"] for each in first["deliveries"]], first["next"]) == ([1], 1)
    rest = (await http.get("/api/v1/outbox?limit=1&after=1", headers=READER)).json()
    assert ([each["id"] for each in rest["deliveries"]], rest["next"]) == ([2], None)
    only = (await http.get("/api/v1/outbox?state=pending&sink=ops", headers=READER)).json()
    assert [each["id"] for each in only["deliveries"]] == [2]


@pytest.mark.parametrize("query", ["state=gone", "limit=0", "limit=x", "after=-1", "limit=1001"])
async def test_a_query_that_makes_no_sense_is_told(http: httpx.AsyncClient, query: str) -> None:
    answer = await http.get(f"/api/v1/outbox?{query}", headers=READER)
    assert answer.status_code == 400
    assert answer.json()["detail"]


async def test_an_admin_puts_back(http: httpx.AsyncClient, face: PlainFace) -> None:
    answer = await http.post("/api/v1/outbox/retry", headers=ADMIN, json={"ids": [1, 2]})
    assert (answer.status_code, answer.json()) == (
        200,
        {"put_back": [1], "obsolete": [], "gone": [], "unknown": [2]},
    )
    assert face.store.rows[1].state == "pending"


async def test_without_a_body_it_is_all_of_them(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/v1/outbox/retry", headers=ADMIN)
    assert answer.json()["put_back"] == [1]


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "x",
        '{"id": 1}',
        '{"ids": 1}',
        '{"ids": ["1"]}',
        '{"ids": [true]}',
        '{"ids": [0]}',
        '{"force": 1}',
        '{"sink": 1}',
    ],
)
async def test_a_body_that_makes_no_sense_changes_nothing(http: httpx.AsyncClient, face: PlainFace, body: str) -> None:
    answer = await http.post("/api/v1/outbox/retry", headers=ADMIN, content=body)
    assert answer.status_code == 400
    assert face.store.rows[1].state == "dead"


async def test_only_an_admin_may(http: httpx.AsyncClient, face: PlainFace) -> None:
    assert (await http.post("/api/v1/outbox/retry", headers=READER)).status_code == 403
    assert (await http.post("/api/v1/outbox/retry")).status_code == 404
    assert (await http.get("/api/v1/outbox")).status_code == 404
    assert face.store.rows[1].state == "dead"
