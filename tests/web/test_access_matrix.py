"""Every way of the app's own table of routes, for every role, about what is public, what is not, what is not there.

A route that is added without a row here fails the first test: nobody forgets to say who may use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import attrs
import httpx
import pytest
from support.face import PlainFace, down, shop, start, transition

from monitor.config import Access
from monitor.web.gate import Gate
from monitor.web.routes import table

if TYPE_CHECKING:
    from collections.abc import Mapping

    import trio

ACCESS = Access(read_token="r3ad", admin_token="4dm1n", public=True)
TOKENS = {"visitor": "", "reader": "r3ad", "admin": "4dm1n"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


@attrs.frozen
class Row:
    """What a visitor, a reader and an admin get."""

    who: tuple[int, int, int]
    closed: int = 404  # what a visitor gets where nothing is public
    query: str = ""
    json: Mapping[str, object] | None = None
    form: Mapping[str, str] | None = None


EVERYBODY = Row((200, 200, 200), closed=200)
LISTED = Row((200, 200, 200))  # restricted to what is public
READERS = Row((404, 200, 200))
ABSENT = Row((404, 404, 404))

# By method and path of the table; {name} and {id} are filled in. Of a path with a name: public, private, missing.
MATRIX: dict[tuple[str, str], dict[str, Row]] = {
    ("GET", "/healthz"): {"": EVERYBODY},
    ("GET", "/readyz"): {"": EVERYBODY},
    ("GET", "/metrics"): {"": READERS},
    ("GET", "/probe"): {"": ABSENT},  # without probe_api; tests/web/test_blackbox.py has it with
    ("GET", "/api/v1/openapi.json"): {"": EVERYBODY},
    ("GET", "/api/v1/endpoints"): {"": LISTED},
    ("GET", "/api/v1/endpoints/{name}"): {"public": LISTED, "private": READERS, "missing": ABSENT},
    ("GET", "/api/v1/endpoints/{name}/history"): {"public": LISTED, "private": READERS, "missing": ABSENT},
    ("GET", "/api/v1/transitions"): {"": LISTED},
    ("GET", "/api/v1/incidents"): {"": LISTED},
    ("POST", "/api/v1/incidents/{id}/ack"): {
        "i-public": Row((404, 403, 200)),
        "i-private": Row((404, 403, 200)),
        "i-missing": Row((404, 403, 404)),
    },
    ("GET", "/api/v1/silences"): {"": READERS},
    ("POST", "/api/v1/silences"): {
        "": Row((404, 403, 201), json={"target": "private", "duration": 60}),
        "nonsense": Row((404, 403, 400), json={"target": "missing", "duration": 60}),
    },
    ("DELETE", "/api/v1/silences/{id}"): {"missing": Row((404, 403, 404))},
    ("GET", "/api/v1/live"): {"": Row((404, 426, 426))},
    ("GET", "/api/v1/outbox"): {"": READERS},
    ("POST", "/api/v1/outbox/retry"): {"": Row((404, 403, 200))},
    **{
        (method, path): {
            "t0ken-of-public": EVERYBODY,
            "missing": ABSENT,
        }
        for method in ("GET", "POST")
        for path in ("/api/v1/heartbeat/{token}", "/api/v1/heartbeat/{token}/{signal}")
    },
    ("GET", "/badge/{name}.svg"): {"public": LISTED, "private": READERS, "missing": ABSENT},
    ("GET", "/badge/{name}.json"): {"public": LISTED, "private": READERS, "missing": ABSENT},
    ("POST", "/-/reload"): {"": Row((404, 403, 200))},
    ("GET", "/"): {"": LISTED},
    ("GET", "/endpoints/{name}"): {"public": LISTED, "private": READERS, "missing": ABSENT},
    ("GET", "/silences"): {"": READERS},
    ("POST", "/silences"): {
        "good": Row((404, 403, 303), form={"target": "private", "duration": "2h"}),
        "bad": Row((404, 403, 400), form={"target": "missing", "duration": "2h"}),
    },
    ("POST", "/silences/{id}/end"): {"missing": Row((404, 403, 404))},
    ("POST", "/incidents/{id}/ack"): {
        "i-public": Row((404, 403, 303)),
        "i-private": Row((404, 403, 303)),
        "i-missing": Row((404, 403, 404)),
    },
    ("GET", "/incidents"): {"": LISTED},
    ("GET", "/incidents.rss"): {"": LISTED},
    ("GET", "/login"): {"": EVERYBODY},
    ("POST", "/login"): {
        "right": Row((303, 303, 303), closed=303, form={"token": "r3ad"}),
        "wrong": Row((401, 401, 401), closed=401, form={"token": "wrong"}),
    },
    ("POST", "/logout"): {"": Row((303, 303, 303), closed=303)},
    ("GET", "/static/{name}"): {"page.css": EVERYBODY, "missing": Row((404, 404, 404))},
}


def face(access: Access) -> PlainFace:
    shown = PlainFace([shop("public", public=True), shop("private")], access=access)
    shown.knows(down("public"), down("private"))
    return shown


def test_the_matrix_has_every_way_of_the_table_and_no_other() -> None:
    plain = face(ACCESS)
    ways = {(method, each.path) for each in table(plain, Gate(plain)) for method in each.ways}
    assert ways == set(MATRIX)


@pytest.mark.parametrize("public", [True, False], ids=["public", "closed"])
@pytest.mark.parametrize("role", TOKENS)
async def test_who_may_do_what(nursery: trio.Nursery, role: str, *, public: bool) -> None:
    plain = face(attrs.evolve(ACCESS, public=public))
    for name in ("public", "private"):
        await plain.move(transition(name))
    base = f"http://127.0.0.1:{await start(nursery, plain)}"
    headers = {"authorization": f"Bearer {TOKENS[role]}"} if TOKENS[role] else {}
    async with httpx.AsyncClient(base_url=base, headers=headers) as client:
        for (method, path), rows in MATRIX.items():
            for name, row in rows.items():
                expected = row.who[list(TOKENS).index(role)]
                if role == "visitor" and not public:
                    expected = row.closed
                asked = path.format(name=name, id=name, token=name, signal="start") + row.query
                sent = {"content": urlencode(row.form), "headers": FORM} if row.form else {"json": row.json}
                answer = await client.request(method, asked, **sent)  # type: ignore[arg-type]
                assert answer.status_code == expected, (method, asked)
                client.cookies.clear()
                if role == "visitor":
                    assert "private" not in answer.text, asked
                    if expected == 404:
                        same(answer, await client.request(method, _nothing_at(path), **sent))  # type: ignore[arg-type]


def _nothing_at(path: str) -> str:
    return "/api/v1/nothing" if path.startswith("/api/") else "/nothing"


def same(one: httpx.Response, other: httpx.Response) -> None:
    """To whoever asked, these are the same answer."""
    one_headers, other_headers = [[each for each in x.headers.items() if each[0] != "date"] for x in (one, other)]
    assert (one.status_code, one.content, one_headers) == (other.status_code, other.content, other_headers)


@pytest.mark.parametrize("public", [True, False], ids=["public", "closed"])
async def test_other_methods_tell_visitors_nothing(nursery: trio.Nursery, *, public: bool) -> None:
    plain = face(attrs.evolve(ACCESS, public=public))
    base = f"http://127.0.0.1:{await start(nursery, plain)}"
    async with httpx.AsyncClient(base_url=base) as client:
        for (_, path), theirs in MATRIX.items():
            for name in ("private", "missing"):
                asked = path.format(name=name, id=name, token=name, signal="start")
                for other in ("PUT", "OPTIONS", "BREW", "TRACE"):
                    answer = await client.request(other, asked)
                    for_visitors = any(row.closed != 404 or (public and row.who[0] != 404) for row in theirs.values())
                    assert answer.status_code in ((404, 405) if for_visitors else (404,)), (other, asked)
