"""Badges, through the real server: what they say, to whom, and that nothing in them is markup."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.etree import ElementTree as ET

import httpx
import pytest
from support.face import PlainFace, down, record, shop, start

from monitor.config import Access
from monitor.core.model import State

if TYPE_CHECKING:
    import trio

SVG = "{http://www.w3.org/2000/svg}"
NAUGHTY = "a<b>&\"'.svg é 日本"


async def client(nursery: trio.Nursery, face: PlainFace) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{await start(nursery, face)}/badge/")


def texts(answer: httpx.Response) -> list[str]:
    """The title, and what is drawn."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("image/svg+xml")
    return [str(each.text) for each in ET.fromstring(answer.text).iter() if each.text and each.text.strip()]


@pytest.mark.parametrize(
    ("state", "colour"), [(State.UP, "#26794f"), (State.DOWN, "#c8372d"), (State.PENDING, "#666a71")]
)
async def test_a_state_has_its_word_and_its_colour(nursery: trio.Nursery, state: State, colour: str) -> None:
    face = PlainFace([shop()])
    face.knows(record("shop", state))
    async with await client(nursery, face) as http:
        answer = await http.get("shop.svg")
        assert texts(answer) == [f"shop: {state}", "shop", str(state)]
        assert colour in answer.text
        assert (await http.get("shop.json")).json() == {
            "schemaVersion": 1,
            "label": "shop",
            "message": str(state),
            "color": colour,
            "isError": state is State.DOWN,
            "cacheSeconds": 60,
        }


async def test_latency_is_for_readers_and_uptime_for_everybody(nursery: trio.Nursery) -> None:
    face = PlainFace([shop(public=True)], access=Access(read_token="r3ad", public=True))
    face.knows(record("shop"))
    async with await client(nursery, face) as http:
        assert (await http.get("shop.json?kind=uptime&window=7d")).json()["message"] == "unknown (7d)"
        assert (await http.get("shop.json?kind=latency")).status_code == 404
        as_reader = await http.get("shop.json?kind=latency", headers={"authorization": "Bearer r3ad"})
        assert as_reader.json()["message"] == "84 ms"


async def test_whatever_a_name_or_label_holds_is_text(nursery: trio.Nursery) -> None:
    face = PlainFace([shop(NAUGHTY)])
    face.knows(down(NAUGHTY))
    async with await client(nursery, face) as http:
        assert texts(await http.get(f"{quote(NAUGHTY, safe='')}.svg"))[1:] == [NAUGHTY, "down"]
        label = "</text><script>alert(1)</script>"
        assert texts(await http.get(f"{quote(NAUGHTY, safe='')}.svg?label={quote(label)}"))[1] == label
        assert (await http.get(f"{quote(NAUGHTY, safe='')}.svg?label={'x' * 81}")).status_code == 400


async def test_a_badge_may_stand_on_another_site(nursery: trio.Nursery) -> None:
    async with await client(nursery, PlainFace([shop()])) as http:
        answer = await http.get("shop.svg")
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
        assert answer.headers["cache-control"] == "private, max-age=60"
        assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("query", ["kind=speed", "window=1h", "colour=red"])
async def test_what_is_asked_for_must_be_there(nursery: trio.Nursery, query: str) -> None:
    async with await client(nursery, PlainFace([shop()])) as http:
        assert (await http.get(f"shop.json?{query}")).status_code == 400
