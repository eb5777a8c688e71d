"""Every address of the pages and the API, made in one place: absolute in payloads, relative in pages.

A page's links are relative to it, so they work at the root, behind a path prefix, and behind a proxy that strips one;
what leaves the house (alerts, feeds, the API) carries `[monitor] external_url`.
"""

from __future__ import annotations

from urllib.parse import quote

import attrs


@attrs.frozen
class Links:
    """Addresses below *base*, which is empty or ends with a slash."""

    base: str

    @classmethod
    def external(cls, url: str) -> Links:
        """Absolute ones, below `[monitor] external_url`."""
        return cls(url.rstrip("/") + "/")

    @classmethod
    def within(cls, path: str) -> Links:
        """Relative ones, for a page at *path*: as the browser sees it, but for a prefix; not decoded."""
        return cls("../" * (path.count("/") - 1))

    @property
    def overview(self) -> str:
        """The first page."""
        return self.base or "./"

    @property
    def login(self) -> str:
        """The sign-in form."""
        return f"{self.base}login"

    @property
    def silences(self) -> str:
        """The page of the silences."""
        return f"{self.base}silences"

    @property
    def live(self) -> str:
        """The live feed, for a WebSocket."""
        return f"{self.base}api/v1/live"

    def endpoint(self, name: str) -> str:
        """The page of one endpoint."""
        return f"{self.base}endpoints/{segment(name)}"

    def history(self, name: str) -> str:
        """The points of a chart of one endpoint."""
        return f"{self.base}api/v1/endpoints/{segment(name)}/history"

    def acknowledge(self, incident: str) -> str:
        """Where the form that acknowledges an incident is sent."""
        return f"{self.base}incidents/{segment(incident)}/ack"

    def end_silence(self, ident: str) -> str:
        """Where the form that ends a silence is sent."""
        return f"{self.base}silences/{segment(ident)}/end"

    def to(self, path: str) -> str:
        """Any other *path* that was quoted already: `static/page.css`, `incidents`."""
        return f"{self.base}{path}"


def segment(text: str) -> str:
    """*text* as one segment of a path."""
    return quote(text, safe="")
