"""Configuration: what a `config.toml` says, as values. `load` is the only way in.

Every mistake is found and reported at once, with file, line and path; nothing is coerced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from monitor.core.model import ALL, Route
from monitor.core.programs import DEFAULT_MEMORY
from monitor.core.text import host_and_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from monitor.config.modules import Module
    from monitor.config.secrets import Masker
    from monitor.config.sights import Sights
    from monitor.core.announcements import Announcement
    from monitor.core.maintenance import Window
    from monitor.core.model import Endpoint
    from monitor.core.quantities import ByteSize, Duration
    from monitor.telling import Manner, Sink


@attrs.frozen
class Listen:
    """Where the HTTP face listens; port 0 takes any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        """`127.0.0.1:8080`, `[::1]:8080`."""
        return host_and_port(self.host, self.port)


@attrs.frozen(kw_only=True)
class Access:
    """Who may see what over HTTP (PRODUCT section 6). Tokens are empty where there is none."""

    public: bool = False
    read_token: str = attrs.field(default="", repr=False)
    admin_token: str = attrs.field(default="", repr=False)


@attrs.frozen(kw_only=True)
class SinkSettings:
    """One configured sink."""

    name: str
    kind: str  # its `type`: `webhook`
    sink: Sink
    give_up_after: Duration
    route: Route = ALL
    group_wait: float = 1.0  # seconds; only where its manner is to group
    max_per_minute: int | None = None  # the config's word; None: what its manner says
    manner: Manner = attrs.field(default=attrs.Factory(lambda self: self.sink.manner, takes_self=True), eq=False)

    @property
    def per_minute(self) -> int | None:
        """How many messages a minute it may get; None: any number."""
        return self.manner.per_minute if self.max_per_minute is None else self.max_per_minute


@attrs.frozen(kw_only=True)
class Config:
    """A whole config, valid."""

    path: Path  # the main file
    listen: Listen
    data_dir: Path  # absolute
    max_concurrent_probes: int
    external_url: str | None
    access: Access
    self_sinks: tuple[str, ...] = ()  # whom the monitor tells of its own trouble
    reference: tuple[str, ...] = attrs.field(default=(), repr=False)  # URLs, as they are asked
    dead_man: str | None = attrs.field(default=None, repr=False)  # where a sign of life is sent
    endpoints: tuple[Endpoint, ...]  # in the order of the file, disabled ones too
    sinks: tuple[SinkSettings, ...]
    maintenance: tuple[Window, ...] = ()
    announcements: tuple[Announcement, ...] = ()
    worker_memory: ByteSize = DEFAULT_MEMORY  # for one program of a check, or one isolated check
    probe_api: bool = False
    modules: Mapping[str, Module] = attrs.field(factory=dict)  # of `/probe`, by name
    plugins: tuple[tuple[str, str], ...]  # what `[plugins]` says, to see on reload that it changed
    masker: Masker = attrs.field(eq=False, repr=False)
    watch: bool = True  # is it read again when one of its files changes?
    sights: Sights | None = attrs.field(default=None, eq=False, repr=False)  # which files those are; None: of no file

    @property
    def enabled(self) -> tuple[Endpoint, ...]:
        """The endpoints to watch."""
        return tuple(endpoint for endpoint in self.endpoints if endpoint.enabled)
