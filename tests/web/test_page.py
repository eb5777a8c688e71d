"""The pages: what they say first, that nothing in them is markup that we did not write, and what ships."""

from __future__ import annotations

import re
import zipfile
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import attrs
import httpx
import pytest
from hatchling.builders.wheel import WheelBuilder
from support.face import NOW, PlainFace, down, record, saw, shop, start, transition

from checks.heartbeat import Heartbeat
from monitor.config import Access
from monitor.core.announcements import Announcement
from monitor.core.health import Health
from monitor.core.model import Code, Incident, Reason, State, Status
from monitor.web.assets import clock_time
from monitor.web.words import counts, headline

if TYPE_CHECKING:
    import trio

ROOT = Path(__file__).parents[2]

U, D, W, X, P = State.UP, State.DOWN, State.DEGRADED, State.UNKNOWN, State.PENDING


@pytest.mark.parametrize(
    ("states", "says", "counted"),
    [
        ([], "Nothing is watched yet", ""),
        ([U], "a is up", "1 up"),
        ([U, U], "a and b are up", "2 up"),
        ([U, U, U], "All 3 endpoints are up", "3 up"),
        ([U, D, W, X, P], "b is down", "1 down, 1 unknown, 1 degraded, 1 pending, 1 up"),
        ([D, U, D], "a and c are down", "2 down, 1 up"),
        ([D, D, D, U], "3 endpoints are down", "3 down, 1 up"),
        ([U, X, W], "The state of b is unknown", "1 unknown, 1 degraded, 1 up"),
        ([X, X, X], "The state of 3 endpoints is unknown", "3 unknown"),
        ([U, W, P], "b is degraded", "1 degraded, 1 pending, 1 up"),
        ([W, W], "a and b are degraded", "2 degraded"),
        ([P, P], "Waiting for the first results", "2 pending"),
        ([P, U, U], "2 of 3 endpoints are up, the others are not known yet", "1 pending, 2 up"),
    ],
)
def test_the_worst_news_comes_first(states: list[State], says: str, counted: str) -> None:
    assert headline(list(zip("abcde", states, strict=False))) == says
    assert counts(states) == counted


def test_who_is_in_maintenance_is_counted_beside_the_states() -> None:
    assert counts([D, U], ["maintenance", "silenced"]) == "1 down, 1 up, 1 in maintenance"


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        (datetime(2026, 11, 22, 0, 5, tzinfo=UTC), "00:05"),
        (datetime(2026, 11, 21, 23, 59, tzinfo=UTC), "21 Nov 23:59"),
        (datetime(2025, 3, 1, 9, 0, tzinfo=UTC), "1 Mar 2025 09:00"),
    ],
)
def test_times(moment: datetime, shown: str) -> None:
    assert clock_time(moment, date(2026, 11, 22)) == shown


class Markup(HTMLParser):
    """Collects the tags of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.source = "", page
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


async def get(nursery: trio.Nursery, face: PlainFace, path: str = "/", **headers: str) -> Markup:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{await start(nursery, face)}{path}", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    return Markup(answer.text)


async def test_the_overview(nursery: trio.Nursery) -> None:
    face = PlainFace([shop("shop"), shop("price feed", group="real time"), shop("search"), shop("alone", group=None)])
    reason = Reason(Code.TIMEOUT, "dialogue", "no pong within 500 ms")
    face.knows(record("shop"), down("price feed", reason), record("search"))
    face.clock.advance(seconds=190)
    page = await get(nursery, face)
    text = re.sub(r"\s+", " ", page.text)
    assert "price feed is down · Nursery Monitor" in text
    assert "· Sign in ·" in text, "a reader by where they are"
    assert "1 down, 1 pending, 2 up" in text
    assert "price feed since 15:00, for 3 min 10 s no pong within 500 ms" in text
    assert "web2 of 2 up" in text
    assert "real time0 of 1 up" in text
    assert "plain · shop.example.org/health" in text
    assert "84 ms" in text
    for word in ("Up since 15:00", "Down since 15:00", "Pending"):
        assert f" {word} " in text
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert links == [
        *("./", "incidents", "silences"),
        "endpoints/price%20feed",  # what is wrong with it stands above the table
        "endpoints/shop",
        "endpoints/search",
        "endpoints/price%20feed",
        "endpoints/alone",
        "incidents.rss",
        "login",
    ]


async def test_the_worst_incident_comes_first(nursery: trio.Nursery) -> None:
    face = PlainFace([shop("slow", alert_on=(State.DOWN, State.DEGRADED)), shop("first"), shop("last")])
    slow = down("slow", since=NOW - timedelta(minutes=1))
    face.knows(
        attrs.evolve(slow, health=Health(state=State.DEGRADED)),
        down("first", since=NOW - timedelta(minutes=5)),
        down("last"),
    )
    page = await get(nursery, face)
    assert re.findall(r'<section class="incident (\w+)">\n<p><b><a [^>]*>(\w+)', page.source) == [
        ("down", "last"),
        ("down", "first"),
        ("degraded", "slow"),
    ]


async def test_what_is_heard_shows_what_it_measured_itself(nursery: trio.Nursery) -> None:
    heard = Heartbeat(token="a-token-of-nobody")
    face = PlainFace([shop("backup", check=heard), shop("copy", check=heard)])
    said = record("copy")
    assert said.last is not None
    face.knows(record("backup"), attrs.evolve(said, last=attrs.evolve(said.last, facts={"ping": 0.25})))
    page = await get(nursery, face)
    assert re.findall(r'<td class="latency">(.*?)</td>', page.source) == ["–", "250 ms"]
    assert 'class="spark"' not in page.source
    assert "Latency by phase" not in (await get(nursery, face, "/endpoints/copy")).text


async def test_many_incidents_do_not_bury_the_page(nursery: trio.Nursery) -> None:
    face = PlainFace([shop(f"s{number}") for number in range(9)])
    face.knows(*(down(f"s{number}") for number in range(9)))
    page = await get(nursery, face)
    assert sum(attributes.get("class") == "incident down" for _, attributes in page.tags) == 5
    assert "and 4 more" in page.text


async def test_announcements_come_first_to_whom_they_concern(nursery: trio.Nursery) -> None:
    access = Access(public=True, read_token="r" * 20)
    face = PlainFace([shop(public=True)], access=access)
    later = face.clock.wall() + timedelta(hours=1)
    face.config = attrs.evolve(
        face.config,
        announcements=(
            Announcement(title="just so"),
            Announcement(title="a migration", text="<b>tonight</b>", level="warning", end=later),
            Announcement(title="for the team", public=False),
            Announcement(title="tomorrow", start=later),
        ),
    )
    visitor = (await get(nursery, face)).text
    reader = (await get(nursery, face, authorization=f"Bearer {'r' * 20}")).text
    assert visitor.index("a migration") < visitor.index("<b>tonight</b>") < visitor.index("just so")
    assert "for the team" in reader
    assert "for the team" not in visitor
    assert "tomorrow" not in reader
    face.clock.advance(hours=1)
    text = (await get(nursery, face)).text
    assert "a migration" not in text
    assert "tomorrow" in text


async def test_an_empty_config_is_told_what_to_do(nursery: trio.Nursery) -> None:
    page = await get(nursery, PlainFace([shop(enabled=False)]))
    assert "Nothing is watched yet" in page.text
    assert "[[endpoint]]" in page.text


async def test_the_page_of_an_endpoint(nursery: trio.Nursery) -> None:
    face = PlainFace([shop("shop", runbook="https://wiki.example.org/shop")])
    face.knows(down("shop"))
    for _ in range(30):
        await face.move(transition("shop"))
        await face.move(transition("shop", Reason(Code.OK), State.DOWN, State.UP))
    await face.move(transition("shop", Reason(Code.OK, None, "no longer watched"), State.UP, None))  # type: ignore[arg-type]  # it left
    page = await get(nursery, face, "/endpoints/shop")
    for expected in (
        "shop is down · Nursery Monitor",
        "192.0.2.7 refused the connection",
        "connect, during connect",
        "https://shop.example.org/health",
        "The shop.",
        "https://wiki.example.org/shop",
        "2 ms",
    ):
        assert expected in page.text
    assert page.text.index("no longer watched") > page.text.index("Latest changes")
    assert page.text.count("pending") == 0
    changes = page.text[page.text.index("Latest changes") :]
    assert changes.count("15:00") == 20 + 1, "the latest twenty, and when the page was made"
    assert page.text.index("no longer watched") < page.text.rindex("refused the connection")


async def test_the_page_of_an_endpoint_lives_without_the_database(nursery: trio.Nursery) -> None:
    face = PlainFace([shop()])
    face.knows(record("shop"))
    face.store.broken = True
    page = await get(nursery, face, "/endpoints/shop")
    assert "shop is up" in page.text
    assert "The history cannot be read now." in page.text


def test_the_wheel_has_what_the_pages_need(tmp_path: Path) -> None:
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(built) as wheel:
        shipped = set(wheel.namelist())
    for folder in ("templates", "static"):
        files = list((ROOT / "monitor" / "web" / folder).iterdir())
        assert files
        assert {f"monitor/web/{folder}/{each.name}" for each in files} <= shipped


async def test_visitors_get_a_page_without_the_live_feed(nursery: trio.Nursery) -> None:
    face = PlainFace([shop(public=True)], access=Access(public=True, read_token="r"))
    face.knows(down("shop"))
    for path in ("/", "/endpoints/shop"):
        page = await get(nursery, face, path)
        assert "shop is down" in page.text
        assert not [tag for tag, _ in page.tags if tag == "script"]
    nothing = PlainFace([shop()], access=face.config.access)
    assert "No endpoint is public." in (await get(nursery, nothing)).text


EVIL = """<img src=x onerror=alert(1)>"'`&{{7*7}}{%x%}</script><script>alert(1)</script>"""
CONTROL = "\x00\x1b[31m\u202e\u2028\x85\ud800"


async def test_nothing_that_came_from_outside_is_markup(nursery: trio.Nursery) -> None:
    name = EVIL.replace("/", "")
    evil = EVIL + CONTROL
    reason = Reason(Code.PROTOCOL, evil, evil)
    face = PlainFace(
        [
            shop(
                name,
                group=name,
                kind=evil,
                target="javascript:" + evil,
                description=evil,
                runbook="javascript:" + evil,
                labels={evil: evil},
                public=True,
            )
        ],
    )
    last = saw(name, Status.DOWN, reason, phases={evil: 0.1}, facts={evil: evil, "deep": {evil: [evil]}})
    incident = Incident(id=evil, endpoint=name, started_at=face.clock.wall(), reason=reason)
    face.knows(record(name, State.DOWN, last, incident=incident))
    await face.move(transition(name, reason))

    plain = PlainFace([shop("plain")])
    plain.knows(down("plain"))
    await plain.move(transition("plain"))

    for path, like in (("/", "/"), (f"/endpoints/{quote(name, safe='')}", "/endpoints/plain")):
        page = await get(nursery, face, path)
        assert {tag for tag, _ in page.tags} == {tag for tag, _ in (await get(nursery, plain, like)).tags}
        assert all(tag != "script" or attributes["src"] for tag, attributes in page.tags)
        names = {attribute for _, attributes in page.tags for attribute in attributes}
        assert not {each for each in names if each.startswith("on") or each == "style"}
        assert "alert(1)" in page.text, "it is shown, as text"
        assert "{{7*7}}" in page.text
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e]", page.text)
        assert "\\x1b[31m\\u202e" in page.text
        links = [attributes["href"] or "" for tag, attributes in page.tags if tag == "a"]
        ours = r"(\.\./)?(endpoints/[\w%.~-]+|\./|incidents(\.rss)?|silences|login|\?window=\d+[hd])?"
        assert all(re.fullmatch(ours, link) for link in links), links


async def test_the_page_needs_nothing_from_elsewhere(nursery: trio.Nursery) -> None:
    face = PlainFace([shop()])
    port = await start(nursery, face)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        for base, count in (("/", 3), ("/endpoints/shop", 6)):
            page = Markup((await client.get(base)).text)
            assets = [a for tag, a in page.tags if tag in ("link", "script") and a.get("rel") != "alternate"]
            wanted = [a.get("href") or a.get("src") for a in assets]
            assert len(wanted) == count
            for each in wanted:
                assert each is not None
                answer = await client.get(httpx.URL(f"http://127.0.0.1:{port}{base}").join(each))
                assert answer.status_code == 200
                again = await client.get(answer.url, headers={"if-none-match": answer.headers["etag"]})
                assert (again.status_code, again.content) == (304, b"")
                code = re.sub(r"/\*!.*?\*/", "", answer.text)  # whose work it is
                assert "http" not in code.replace("http://www.w3.org/2000/svg", "").replace('"https:"', "")
