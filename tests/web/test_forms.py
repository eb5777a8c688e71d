"""What an admin does from a page: the forms as a browser without JavaScript sends them, from sign-in to sign-out."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest
from support.face import PlainFace, down, shop, start

from monitor.config import Access

if TYPE_CHECKING:
    import trio

EVIL = "<script>alert(1)</script>\"'&\x1b[31m\u202e"


class Browser(HTMLParser):
    """Follows links and fills in forms: what is on the page it is at."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        super().__init__()
        self.http = http
        self.at = httpx.URL("/")
        self.text = ""
        self.forms: list[tuple[str, dict[str, str]]] = []
        self.tags: list[str] = []

    async def go(self, path: str) -> httpx.Response:
        return await self._show(await self.http.get(self.at.join(path)))

    async def send(self, number: int = 0, **fields: str) -> httpx.Response:
        """Send the form *number* of the page with *fields* filled in, as a browser does."""
        action, values = self.forms[number]
        assert set(fields) <= set(values), "one fills in what is there"
        origin = str(self.http.base_url).rstrip("/")
        sent = await self.http.post(self.at.join(action), data=values | fields, headers={"origin": origin})
        if sent.status_code != 303:
            return await self._show(sent)
        self.at = sent.request.url
        return await self.go(sent.headers["location"])

    async def _show(self, answer: httpx.Response) -> httpx.Response:
        self.at, self.text, self.forms, self.tags = answer.request.url, "", [], []
        self.feed(answer.text)
        return answer

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        if tag == "form":
            assert found["method"] == "post"
            self.forms.append((found["action"], {}))
        elif tag == "input":
            self.forms[-1][1][found["name"]] = found.get("value", "")

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def face() -> PlainFace:
    return PlainFace(
        [shop("shop", public=True), shop("price feed ü", group="real time")],
        access=Access(read_token="r3ad", admin_token="4dm1n", public=True),
    )


@pytest.fixture
async def browser(nursery: trio.Nursery, face: PlainFace) -> Any:
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{await start(nursery, face)}", headers={"accept": "text/html"}
    ) as http:
        yield Browser(http)


async def sign_in(browser: Browser, token: str = "4dm1n") -> None:
    await browser.go("/login")
    await browser.send(token=token)
    assert browser.at.path == "/"


async def test_from_the_sign_in_to_a_silence_and_back(browser: Browser, face: PlainFace) -> None:
    await sign_in(browser)
    await browser.go(f"/silences?target={quote('price feed ü')}")
    await browser.send(duration=" 1h30m ", comment="a new disk", author="me")
    assert browser.at.path == "/silences", "where a reload sends nothing"
    assert "price feed ü" in browser.text
    assert "me: a new disk" in browser.text
    (silence,) = face.silencer.silences.every
    assert (silence.target, silence.author, silence.comment) == ("price feed ü", "me", "a new disk")
    assert (silence.ends_at - silence.created_at).total_seconds() == 5400

    await browser.send(1)
    assert browser.at.path == "/silences"
    assert "Nothing is silent" in browser.text

    await browser.go("/login")
    await browser.send()
    assert browser.at.path == "/login"
    assert (await browser.go("/silences")).status_code == 404


async def test_an_incident_is_acknowledged_on_the_page_of_its_endpoint(browser: Browser, face: PlainFace) -> None:
    face.knows(down("price feed ü"))
    await sign_in(browser)
    await browser.go("/endpoints/" + quote("price feed ü"))
    await browser.send(comment="the supplier knows", author="me")
    assert browser.at.path == "/endpoints/price feed ü"
    assert "Acknowledged by me" in browser.text
    assert "the supplier knows" in browser.text
    assert browser.forms == [], "what is known is not asked for again"


async def test_an_incident_that_is_over_meanwhile(browser: Browser, face: PlainFace) -> None:
    face.knows(down("shop"))
    await sign_in(browser)
    await browser.go("/endpoints/shop")
    await face.resolve("shop")
    answer = await browser.send()
    assert answer.status_code == 404
    assert "no such open incident any more" in browser.text


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"target": "shpo"}, 'There is no endpoint "shpo", did you mean "shop"?'),
        ({"target": ""}, 'There is no endpoint "".'),
        ({"target": "shop", "duration": "2 hours"}, "For how long must be a duration"),
        ({"target": "shop", "duration": "99999d"}, "For how long must be a duration"),
        ({"target": "shop", "author": "x" * 101}, "author must be at most 100 characters long."),
    ],
)
async def test_a_form_that_is_wrong_is_shown_again(
    browser: Browser, face: PlainFace, fields: dict[str, str], wrong: str
) -> None:
    await sign_in(browser)
    await browser.go("/silences")
    answer = await browser.send(**{"comment": "what I wrote", **fields})
    assert answer.status_code == 400
    assert wrong in browser.text
    assert browser.forms[0][1] == {"duration": "2h", "author": "", "comment": "what I wrote", **fields}
    assert face.silencer.silences.every == ()


async def test_a_database_that_cannot_be_written(browser: Browser, face: PlainFace) -> None:
    await sign_in(browser)
    await browser.go("/silences")
    face.store.broken = True
    answer = await browser.send(target="shop")
    assert answer.status_code == 503
    assert "could not be kept" in browser.text


async def test_readers_see_silences_and_no_form(browser: Browser, face: PlainFace) -> None:
    await face.silencer.add("*", duration=60, author="me", comment="")
    face.knows(down("shop"))
    await sign_in(browser, "r3ad")
    for path in ("/silences", "/endpoints/shop"):
        assert (await browser.go(path)).status_code == 200
        assert browser.forms == []
    await browser.go("/silences")
    assert "until" in browser.text


@pytest.mark.parametrize("path", ["/silences", "/silences/id-1/end", "/incidents/i-shop/ack"])
async def test_a_page_of_another_site_does_nothing(browser: Browser, face: PlainFace, path: str) -> None:
    """Whatever the browser sends along by itself: the cookie (of an old browser), or HTTP Basic."""
    face.knows(down("shop"))
    await face.silencer.add("shop", duration=60, author="me", comment="")
    await sign_in(browser)
    form = {"target": "*", "duration": "1d"}
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {}):
        assert (await browser.http.post(path, data=form, headers=headers)).status_code == 404
    basic = httpx.BasicAuth("x", "4dm1n")
    foreign = await browser.http.post(path, data=form, headers={"origin": "https://evil.example"}, auth=basic)
    assert foreign.status_code == 404
    (silence,) = face.silencer.silences.every
    assert silence.is_active(face.clock.wall())
    incident = face.known["shop"].incident
    assert incident is not None
    assert incident.acknowledged is None


async def test_what_people_write_is_text(browser: Browser, face: PlainFace) -> None:
    face.knows(down("shop"))
    await sign_in(browser)
    await browser.go("/endpoints/shop")
    await browser.send(comment=EVIL, author=EVIL)
    pages = [browser.text]
    assert "script" not in browser.tags[browser.tags.index("body") :]
    await browser.go("/silences")
    await browser.send(target="shop", comment=EVIL, author=EVIL)
    pages.append(browser.text)
    assert "script" not in browser.tags
    await browser.send(target=EVIL, comment=EVIL, author=EVIL, duration=EVIL)
    assert "script" not in browser.tags
    pages.append(browser.text)
    await browser.go("/silences?target=" + quote(EVIL))
    assert "script" not in browser.tags
    for text in pages:
        assert "<script>alert(1)</script>" in text
        assert "\x1b" not in text
        assert "\u202e" not in text
