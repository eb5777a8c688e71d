"""The overview keeps the text of its rows: after whatever changes, it is the page of a monitor that was just started.

One application has served before, for every role; another is made anew after each change. They must say the same.
No sockets: time passes by itself, as results and uptimes are read again only after a while.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import attrs
import httpx
import pytest
import trio
from support.entries import NOW
from support.face import REFUSED, PlainFace, down, record, saw, shop

from monitor.config import Access
from monitor.core.health import Health
from monitor.core.model import Acknowledgement, Code, Reason, State, Status
from monitor.store import Entry
from monitor.web.app import create_app
from monitor.web.uptimes import FRESH

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

READ, ADMIN = "r" * 20, "a" * 20
CALLERS = {"visitor": {}, "reader": {"authorization": f"Bearer {READ}"}, "admin": {"authorization": f"Bearer {ADMIN}"}}


def _configured(face: PlainFace, **settings: object) -> None:
    first, *others = face.config.endpoints
    face.config = attrs.evolve(face.config, endpoints=(attrs.evolve(first, **settings), *others))  # type: ignore[arg-type]


def _stands(face: PlainFace, **settings: object) -> None:
    face.knows(attrs.evolve(face.known["shop"], **settings))  # type: ignore[arg-type]


def _probed(face: PlainFace, status: Status = Status.UP, **settings: object) -> None:
    at = face.clock.wall()
    seen = attrs.evolve(saw("shop", status), started_at=at, **settings)  # type: ignore[arg-type]
    kept = attrs.evolve(face.known["shop"], last=seen)
    face.knows(kept)
    face.store.append(Entry(record=kept, observation=seen))


def _acknowledged(face: PlainFace) -> None:
    incident = down("shop").incident
    assert incident is not None
    known = attrs.evolve(incident, acknowledged=Acknowledgement(at=NOW, by="ann", comment="on it"))
    face.knows(attrs.evolve(down("shop"), incident=known))


CHANGES: dict[str, Callable[[PlainFace], None]] = {
    "the start": lambda _: None,
    "a probe": _probed,
    "a slow one": lambda face: _probed(face, duration=2.5),
    "a failure": lambda face: _probed(face, Status.DOWN, reason=REFUSED),
    "an outage": lambda face: face.knows(down("shop")),
    "acknowledged": _acknowledged,
    "an hour of an outage": lambda face: face.clock.advance(hours=1),
    "unknown": lambda face: _stands(face, health=Health(state=State.UP, unknowns=99)),
    "known": lambda face: face.knows(record("shop")),
    "another latency": lambda face: _stands(face, last=saw("shop", duration=0.5)),
    "a reason": lambda face: _stands(face, last=saw("shop", Status.DOWN, REFUSED)),
    "another reason": lambda face: _stands(face, last=saw("shop", Status.DOWN, Reason(Code.TIMEOUT, None, "too slow"))),
    "another since": lambda face: _stands(face, since=NOW + timedelta(minutes=3)),
    "the next day": lambda face: face.clock.advance(hours=24),
    "a flag": lambda face: face.flagged.update(shop=["maintenance"]),
    "no flag": lambda face: face.flagged.clear(),
    "an uptime": lambda face: face.store.uptimes.update(shop=0.5),
    "another address": lambda face: _configured(face, target="https://elsewhere.example.org/"),
    "another kind": lambda face: _configured(face, kind="tcp"),
    "another group": lambda face: _configured(face, group="moved"),
    "no longer public": lambda face: _configured(face, public=False),
    "public": lambda face: _configured(face, public=True),
    "no longer watched": lambda face: _configured(face, enabled=False),
    "watched again": lambda face: _configured(face, enabled=True),
}


async def _page(app: ASGIApp, headers: dict[str, str]) -> str:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://status.example.org") as client:
        answer = await client.get("/", headers=headers)
    assert answer.status_code == 200
    return answer.text


def _without_the_time(page: str) -> str:
    """A page without when it was made, which is another every time."""
    return page[: page.index("<footer>")]


async def test_a_row_is_as_new_as_on_a_page_that_is_the_first(autojump_clock: trio.testing.MockClock) -> None:
    access = Access(public=True, read_token=READ, admin_token=ADMIN)
    face = PlainFace([shop("shop", public=True), shop("feed", group="real time", public=True)], access=access)
    face.knows(record("shop"), record("feed"))
    app = create_app(face)
    before: dict[str, str] = {}
    for what, change in CHANGES.items():
        change(face)
        await trio.sleep(FRESH)
        face.clock.advance(seconds=FRESH)
        pages = {who: await _page(app, headers) for who, headers in CALLERS.items()}
        fresh = create_app(face)
        for who, page in reversed(pages.items()):
            assert page == await _page(fresh, CALLERS[who]), f"{who}, after {what}"
        after = {who: _without_the_time(page) for who, page in pages.items()}
        assert after != before, f"{what} is a change that somebody sees"
        before = after


@pytest.mark.parametrize("order", [("reader", "visitor"), ("visitor", "reader")])
async def test_a_visitor_never_gets_the_row_of_a_reader(
    autojump_clock: trio.testing.MockClock, order: tuple[str, str]
) -> None:
    face = PlainFace([shop(public=True)], access=Access(public=True, read_token=READ, admin_token=ADMIN))
    face.knows(down("shop"))
    face.flagged["shop"] = ["silenced"]
    app = create_app(face)
    pages = {who: await _page(app, CALLERS[who]) for who in (*order, *order)}
    for secret in ("shop.example.org", "refused the connection", "silenced", "plain"):
        assert secret in pages["reader"]
        assert secret not in pages["visitor"]
