"""Uptime in the API and on the pages, and what charts are made of."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from support.entries import NOW
from support.face import PlainFace, record, shop, start

from monitor.config import Access
from monitor.core.rollup import Point, Rollup, Series

if TYPE_CHECKING:
    import trio

TOKEN = "r" * 20
DAY = timedelta(hours=24)


def charted() -> PlainFace:
    """One endpoint with a chart of two points."""
    face = PlainFace([shop(public=True)], access=Access(public=True, read_token=TOKEN))
    face.knows(record("shop"))
    busy = Rollup()
    busy.add("up", 0.1, {"connect": 0.02})
    busy.add("down", 5.0, {})
    face.store.uptimes["shop"] = 0.99876543
    face.store.charts["shop", DAY] = Series(
        300.0, (Point(NOW, busy, 0.5), Point(NOW + timedelta(minutes=5), Rollup(), None))
    )
    return face


async def get(nursery: trio.Nursery, face: PlainFace, path: str, *, reader: bool = True) -> tuple[int, Any]:
    """The status and the body of what is at *path*."""
    headers = {"authorization": f"Bearer {TOKEN}"} if reader else {}
    base = f"http://127.0.0.1:{await start(nursery, face)}"
    async with httpx.AsyncClient(base_url=base, headers=headers) as http:
        answer = await http.get(path)
    return answer.status_code, answer.content


async def test_readers_see_all_of_a_chart(nursery: trio.Nursery) -> None:
    status, body = await get(nursery, charted(), "/api/v1/endpoints/shop/history?window=24h")
    assert status == 200
    assert json.loads(body) == {
        "endpoint": "shop",
        "window": "24h",
        "step": 300.0,
        "points": [
            {
                "at": "2026-11-22T15:00:00.123Z",
                "uptime": 0.5,
                "up": 1,
                "degraded": 0,
                "down": 1,
                "unknown": 0,
                "latency": {"p50": pytest.approx(0.1, rel=0.025)} | {
                    name: pytest.approx(0.1, rel=0.025) for name in ("p95", "p99")
                },
                "phases": {"connect": 0.02},
            },
            {
                "at": "2026-11-22T15:05:00.123Z",
                "uptime": None,
                "up": 0,
                "degraded": 0,
                "down": 0,
                "unknown": 0,
                "latency": None,
                "phases": {},
            },
        ],
    }  # fmt: skip


async def test_visitors_see_when_it_was_up(nursery: trio.Nursery) -> None:
    _, body = await get(nursery, charted(), "/api/v1/endpoints/shop/history", reader=False)
    assert json.loads(body)["points"] == [
        {"at": "2026-11-22T15:00:00.123Z", "uptime": 0.5},
        {"at": "2026-11-22T15:05:00.123Z", "uptime": None},
    ]


@pytest.mark.parametrize("window", ["5", "24", "1s", "500d", "0m", "-1h", "x", "1e400d", "99999999999999999h"])
async def test_a_window_that_is_none(nursery: trio.Nursery, window: str) -> None:
    status, body = await get(nursery, charted(), f"/api/v1/endpoints/shop/history?window={window}")
    assert status == 400
    assert json.loads(body)["detail"] == 'window must be a duration from "1m" to "400d", such as "24h".'


@pytest.mark.parametrize("path", ["/api/v1/endpoints/nobody/history", "/api/v1/endpoints/hidden/history"])
async def test_what_is_not_there_for_a_visitor(nursery: trio.Nursery, path: str) -> None:
    face = charted()
    face.config = PlainFace([shop(public=True), shop("hidden")], access=face.config.access).config
    status, _ = await get(nursery, face, path, reader=False)
    assert status == 404


async def test_an_endpoint_of_which_nothing_is_kept_has_no_points(nursery: trio.Nursery) -> None:
    face = charted()
    face.store.charts.clear()
    _, body = await get(nursery, face, "/api/v1/endpoints/shop/history")
    assert json.loads(body) == {"endpoint": "shop", "window": "24h", "step": None, "points": []}


@pytest.mark.parametrize("reader", [True, False])
async def test_uptime_is_in_every_object(nursery: trio.Nursery, reader: bool) -> None:
    _, body = await get(nursery, charted(), "/api/v1/endpoints/shop", reader=reader)
    assert json.loads(body)["uptime"] == dict.fromkeys(("24h", "7d", "30d", "90d"), 0.998765)


@pytest.mark.parametrize("reader", [True, False])
@pytest.mark.parametrize("path", ["/", "/endpoints/shop"])
async def test_uptime_is_on_the_pages(nursery: trio.Nursery, path: str, reader: bool) -> None:
    _, body = await get(nursery, charted(), path, reader=reader)
    assert b"99.87 %" in body  # not rounded up


async def test_uptime_is_not_asked_for_again_at_once_and_stays_while_the_database_is_away(
    nursery: trio.Nursery,
) -> None:
    face = charted()
    base = f"http://127.0.0.1:{await start(nursery, face)}"
    async with httpx.AsyncClient(base_url=base, headers={"authorization": f"Bearer {TOKEN}"}) as http:
        for changed in (0.5, 0.1):
            found = (await http.get("/api/v1/endpoints")).json()
            assert found["endpoints"][0]["uptime"]["24h"] == 0.998765
            face.store.uptimes["shop"] = changed
            face.store.broken = True
