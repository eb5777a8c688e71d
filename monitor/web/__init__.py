"""The HTTP face of the daemon: page, API and live feed. It reads and shows; it decides nothing.

    access.py   who is asking, and what they may see: the only place that knows
    gate.py     the same with what is remembered: who signed in, who guesses tokens
    signin.py   the sign-in form
    objects.py  values as the JSON objects of the API
    answers.py  the shapes of an answer: JSON, problems, "not found", security headers
    api.py      health, readiness and the API
    history.py  the points of a chart
    uptimes.py  uptime, read once for all who ask
    feed.py     the live WebSocket
    asking.py   what a request asks for, read strictly
    incidents.py and silences.py, the resources that an admin does something about
    heartbeats.py  what endpoints say of themselves
    chronicle.py  incidents for people: a page, and an RSS feed
    badges.py   for READMEs and wikis
    metrics.py  everything, for Prometheus
    blackbox.py  blackbox_exporter's /probe
    quieting.py the forms of the pages for an admin: silences, acknowledgements
    page.py     the pages, with templates/ and static/
    routes.py   the table of routes, each with its audience
    openapi.py  what each of them does, in words, as OpenAPI; schemas.py has its objects
    app.py      the application: the gate before the table
    server.py   the listening socket, and anycorn inside our nursery; connection.py, one connection with its limits

`Face` is all this package sees of the daemon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from monitor.config import Config
    from monitor.config.changes import Changes
    from monitor.core.errors import Problem
    from monitor.core.model import Endpoint, Incident, Observation, PutBack
    from monitor.core.ports import Clock, Rand
    from monitor.core.silences import Silence, Silences
    from monitor.core.tally import Tally
    from monitor.live import LiveFeed
    from monitor.store import Record, Store


class Lateness(Protocol):
    """How well an endpoint's schedule is kept."""

    @property
    def lag(self) -> float:
        """Seconds the latest probe began after its slot."""

    @property
    def missed(self) -> int:
        """Slots that passed unused, since the start."""


class Silencing(Protocol):
    """Makes and ends silences; `monitor.silencer` is the real thing."""

    @property
    def silences(self) -> Silences:
        """Those there are."""

    async def add(self, target: str, *, duration: float, author: str, comment: str) -> Silence:
        """Silence *target* for *duration* seconds. Raises StoreError; MonitorError when there are too many."""

    async def end(self, ident: str) -> Silence | None:
        """End the silence *ident* now; None: there is none. Raises StoreError."""


class Face(Protocol):
    """What the web sees of the daemon."""

    @property
    def config(self) -> Config:
        """The config in force; a reload puts another in its place, so ask again for every request."""

    @property
    def store(self) -> Store:
        """For the history of transitions."""

    @property
    def feed(self) -> LiveFeed:
        """Every observation and transition as it happens."""

    @property
    def clock(self) -> Clock:
        """For open incidents: how long until now."""

    @property
    def rand(self) -> Rand:
        """For what nobody may guess."""

    @property
    def tally(self) -> Tally:
        """What was counted since the start."""

    def lateness(self) -> Mapping[str, Lateness]:
        """How well each endpoint's schedule is kept, by name."""

    @property
    def staying(self) -> int:
        """How many endpoints something stays with between their probes, such as a connection."""

    @property
    def silencer(self) -> Silencing:
        """The silences, and who makes and ends them."""

    def flags(self, endpoint: Endpoint) -> Sequence[str]:
        """What is so about *endpoint* now, beside its state: `maintenance`, `suppressed`, `flapping`, `silenced`."""

    async def acknowledge(self, incident: str, *, by: str, comment: str) -> Incident | None:
        """Stop the reminders of the open *incident*; None where there is none. Raises StoreError."""

    def records(self) -> Mapping[str, Record]:
        """How every endpoint stands now, by name; one that was never probed may be missing."""

    def not_ready(self) -> str | None:
        """Why `/readyz` must say no, as one sentence; None: it may say yes."""

    @property
    def reload_problems(self) -> Sequence[Problem]:
        """What was wrong with the config when it was last read again; empty: it was taken over."""

    async def put_back(self, ids: Collection[int] | None, *, sink: str | None, force: bool) -> PutBack:
        """Try dead deliveries again; None: all, or all to *sink*. StoreError passes."""

    async def probe(self, endpoint: Endpoint) -> Observation | None:
        """Probe what is not watched, once, within its timeout; None: too many are probed so at the same time."""

    async def heartbeat(self, token: str, *, signal: str | None, message: str, ping: float | None) -> bool:
        """Take a heartbeat: *signal* None (it works), `down`, `start` or `log`, *ping* in seconds.

        False: nobody has this *token*. StoreError passes.
        """

    async def reload(self) -> Changes:
        """Read the config again and take it over; raises ConfigError, or MonitorError when nothing could be read."""
