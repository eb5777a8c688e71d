"""What ships beside the code: templates and static files, read once. Everything a template shows is made safe here."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from itertools import islice
from typing import TYPE_CHECKING, Any

import attrs
import jinja2
import trio
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from monitor.core.links import Links
from monitor.core.model import timestamp
from monitor.core.quantities import lasting_text, seconds_text
from monitor.core.text import percent, printable
from monitor.web.access import Role
from monitor.web.answers import missing, revalidated
from monitor.web.words import flag

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime

    from starlette.requests import Request

    from monitor.core.ports import Clock
    from monitor.web.access import Caller

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


_AT_ONCE = 1_000  # pieces of a template: one or two milliseconds


def _contents(folder: str) -> dict[str, bytes]:
    """Every file of *folder* beside this module, by name."""
    return {each.name: each.read_bytes() for each in (files("monitor.web") / folder).iterdir() if each.is_file()}


class Looks:
    """The templates: every value is escaped for HTML, and what is not printable in it shown as an escape."""

    def __init__(self, clock: Clock) -> None:
        """Read them; pages say what time it is by *clock*."""
        self._clock = clock
        self._templates = jinja2.Environment(
            loader=jinja2.DictLoader({name: text.decode() for name, text in _contents("templates").items()}),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            finalize=_printable,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(
            span=seconds_text, lasting=lasting_text, moment=moment, percent=percent, place=place, flag=flag
        )

    def macro(self, template: str, name: str) -> Callable[..., Markup]:
        """A part of a page that is made by itself: *name* in *template*, which shows its arguments and nothing else."""
        found: Callable[..., Markup] = getattr(self._templates.get_template(template).module, name)
        return found

    async def page(self, template: str, request: Request, caller: Caller, status: int = 200, **values: Any) -> Response:
        """A page for *caller*: `links` relative to it, `live` and `admin` for who may, `who` signed in if any, `now`.

        A page of a thousand endpoints takes longer than a probe may be late: it is made piece by piece.
        """
        pieces = self._templates.get_template(template).generate(
            links=Links.within(request.scope["path"]),
            live=caller.reads,
            admin=caller.role is Role.ADMIN,
            who=caller.role.name.lower() if caller.identified else None,
            now=self._clock.wall(),
            **values,
        )
        page: list[str] = []
        while some := list(islice(pieces, _AT_ONCE)):
            page += some
            await trio.lowlevel.checkpoint()
        return HTMLResponse("".join(page), status)


def _printable(value: Any) -> Any:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def clock_time(moment: datetime, today: date) -> str:
    """A moment for people, in UTC, with the day where that is not *today*: `14:02`, `22 Nov 14:02`."""
    if moment.date() == today:
        return f"{moment:%H:%M}"
    day = f"{moment.day} {moment:%b}" if moment.year == today.year else f"{moment.day} {moment:%b %Y}"
    return f"{day} {moment:%H:%M}"


def moment(when: datetime, now: datetime) -> Markup:
    """The same as an element that machines can read."""
    return _time(when, now.date())


@lru_cache(maxsize=4096)
def _time(when: datetime, today: date) -> Markup:
    text = f'<time datetime="{timestamp(when)}">{clock_time(when, today)}</time>'
    return Markup(text)  # noqa: S704 - digits and names of months


def place(target: str) -> str:
    """Where a target is, in few letters: what its scheme says stands beside it, as the check."""
    return target.partition("://")[2].removesuffix("/") or target


@attrs.frozen
class _File:
    content: bytes
    media_type: str


class Static:
    """Serves the static files from memory: there is no path to climb out of, and no disk to wait for."""

    def __init__(self) -> None:
        """Read them."""
        self._files = {
            name: _File(content, _MEDIA_TYPES[name[name.rindex(".") :]])
            for name, content in _contents("static").items()
        }

    async def file(self, request: Request, _caller: Caller) -> Response:
        """One file; browsers ask each time whether theirs is still the right one."""
        file = self._files.get(request.path_params["name"])
        if file is None:
            return missing(request)
        return revalidated(request, Response(file.content, media_type=file.media_type))
