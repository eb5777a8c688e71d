"""Incidents for people: the page and the feed, what each of them tells to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import attrs
import httpx
import pytest
from support.entries import went_down
from support.face import PlainFace, down, shop, start

from monitor.config import Access
from monitor.core.model import Code, Reason

if TYPE_CHECKING:
    import trio

NAUGHTY = "</title><script>\x00"


async def face(*, public: bool = False) -> PlainFace:
    """Two endpoints with an incident each; that of `shop` is over."""
    made = PlainFace([shop("shop", public=True), shop("feed")], access=Access(read_token="r3ad", public=public))
    for name in ("shop", "feed"):
        await made.store.commit(went_down(name, name))
        made.knows(down(name, Reason(Code.CONNECT, "connect", NAUGHTY)))
    entry = went_down("shop", "shop")
    assert entry.decision is not None
    made.clock.advance(minutes=12)
    made.knows(attrs.evolve(down("shop"), incident=entry.decision.incident))
    await made.resolve("shop")
    return made


@pytest.fixture
def reader() -> dict[str, str]:
    return {"authorization": "Bearer r3ad"}


async def test_the_page_says_what_goes_on_and_what_is_over(nursery: trio.Nursery, reader: dict[str, str]) -> None:
    base = f"http://127.0.0.1:{await start(nursery, await face())}"
    async with httpx.AsyncClient(base_url=base, headers=reader) as http:
        text = (await http.get("/incidents")).text
        assert "1 going on" in text
        assert text.index(">feed</a>") < text.index(">shop</a>"), "newest first"
        assert (await http.get("/incidents?before=1")).text.count("<tr>") == 0
        assert (await http.get("/incidents?before=x")).status_code == 400


async def test_the_feed_has_an_item_for_each_begin_and_each_end(nursery: trio.Nursery, reader: dict[str, str]) -> None:
    plain = await face()
    plain.config = attrs.evolve(plain.config, external_url="https://status.example.org/x")
    base = f"http://127.0.0.1:{await start(nursery, plain)}"
    async with httpx.AsyncClient(base_url=base, headers=reader) as http:
        answer = await http.get("/incidents.rss")
        assert answer.headers["content-type"].startswith("application/rss+xml")
        again = (await http.get("/incidents.rss")).content
    assert answer.content == again, "guids stay"
    items = ET.fromstring(answer.text).findall("channel/item")
    titles = [each.findtext("title") for each in items]
    assert titles[0] == "shop is well again, after 12 min"
    assert sorted(titles[1:]) == ["feed has a problem", "shop has a problem"]
    assert {each.findtext("link") for each in items} == {
        "https://status.example.org/x/endpoints/shop",
        "https://status.example.org/x/endpoints/feed",
    }
    assert len({each.findtext("guid") for each in items}) == 3


async def test_visitors_see_what_is_public_and_no_reason(nursery: trio.Nursery) -> None:
    base = f"http://127.0.0.1:{await start(nursery, await face(public=True))}"
    async with httpx.AsyncClient(base_url=base) as http:
        for path in ("/incidents", "/incidents.rss"):
            text = (await http.get(path)).text
            assert "shop" in text
            assert "feed" not in text.replace("feed.", "")
            assert "refused" not in text
            assert "i-shop" not in text
