"""Behind a path prefix: with a proxy that strips it, with one that does not, and past both."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import attrs
import httpx
import pytest
from support.face import PlainFace, down, shop, start

from monitor.config import Access
from monitor.core.links import Links

if TYPE_CHECKING:
    import trio

SITE = "https://status.example.org"
NAME = "price feed ü?#%"


@pytest.fixture
async def http(nursery: trio.Nursery) -> httpx.AsyncClient:
    face = PlainFace([shop(NAME)], access=Access(read_token="r3ad"))
    face.config = attrs.evolve(face.config, external_url=f"{SITE}/a/monitor/")
    face.knows(down(NAME))
    headers = {"authorization": "Bearer r3ad"}
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{await start(nursery, face)}", headers=headers)


@pytest.mark.parametrize("seen", ["/a/monitor/", "/"], ids=["left in", "stripped"])
async def test_every_link_of_every_page_leads_somewhere(http: httpx.AsyncClient, seen: str) -> None:
    async with http:
        at, found = {f"{SITE}/a/monitor/"}, set[str]()
        while at - found:
            url = (at - found).pop()
            found.add(url)
            assert url.startswith(f"{SITE}/a/monitor/"), "links stay below the prefix"
            answer = await http.get(url.replace(f"{SITE}/a/monitor/", seen, 1))
            assert answer.status_code in ((426,) if url.endswith("/live") else (200,)), url
            if answer.headers["content-type"].startswith("text/html"):
                links = re.findall(r'(?:href|src|action|data-feed)="([^"]*)"', answer.text)
                at |= {urljoin(url, link) for link in links}
        assert {f"{SITE}/a/monitor/static/page.js", f"{SITE}/a/monitor/{Links('').endpoint(NAME)}"} < found


async def test_the_prefix_without_its_slash_leads_to_the_page(http: httpx.AsyncClient) -> None:
    async with http:
        answer = await http.get("/a/monitor")
        assert (answer.status_code, answer.headers["location"]) == (308, "monitor/")
        assert (await http.get("/a/monitor/healthz")).status_code == 200
        assert (await http.get("/a/monitors/healthz")).status_code == 404
        assert (await http.get("/a/monitor/a/monitor/healthz")).status_code == 404


async def test_what_is_not_there_leads_on_and_looks_like_the_others(http: httpx.AsyncClient) -> None:
    async with http:
        for path in ("/nothing", "/a/monitor/nothing", "/a/nothing/at/all"):
            answer = await http.get(path, headers={"accept": "text/html"})
            assert answer.status_code == 404
            for there in ("", "login", "static/page.css"):
                assert f'href="{SITE}/a/monitor/{there}"' in answer.text


def test_links() -> None:
    assert Links.external(SITE).endpoint("a b:ü") == f"{SITE}/endpoints/a%20b%3A%C3%BC"
    assert Links.external(f"{SITE}/m/").overview == f"{SITE}/m/"
    assert (Links.within("/").overview, Links.within("/").login) == ("./", "login")
    assert (Links.within("/endpoints/x").overview, Links.within("/endpoints/x").login) == ("../", "../login")
    assert Links("").end_silence("a/../b") == "silences/a%2F..%2Fb/end"
