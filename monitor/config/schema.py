"""The keys of every table of a config, with types, defaults and documentation.

The classes are read like a check's: attrs fields are keys. What a check or sink adds is in its own class.
"""

from __future__ import annotations

import re
from datetime import datetime, time  # noqa: TC003 - fields look their types up at run time
from pathlib import Path  # noqa: TC003
from typing import Any, Literal
from urllib.parse import urlsplit

import attrs

from monitor.config import Listen
from monitor.core.programs import DEFAULT_MEMORY
from monitor.core.quantities import ByteSize, Duration, Expression, Lifetime, shown
from monitor.declaring import OptionError
from monitor.declaring import check_option as key
from monitor.validators import url_with

TABLES = ("monitor", "plugins", "defaults", "endpoint", "maintenance", "announcement", "module", "sink")
INCLUDED_TABLES = ("endpoint", "sink")
_MOST_IN_A_ROW = 10_000
_LEAST_MEMORY = ByteSize(32 * 1024**2)  # Python itself, and what a check is made of

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def title(text: str) -> None:
    """The name of an endpoint or sink, or a group: it stands in URLs, labels and lists."""
    if not 1 <= len(text) <= 100:
        raise ValueError(f"expected 1-100 characters, got {len(text)}")
    if not text.isprintable():
        raise ValueError(f"expected printable characters, got {text!a}")
    if "/" in text:
        raise ValueError(f'expected a name without "/", got {shown(text)}')
    if text in (".", "..", "*"):  # a step of a path, which no browser would ask for; every endpoint
        raise ValueError(f"expected a name other than ., .. and *, got {shown(text)}")
    if text.startswith("group:"):
        raise ValueError(f'expected a name that does not begin with "group:", got {shown(text)}')


def _heading(text: str) -> None:
    if not 1 <= len(text) <= 200:
        raise ValueError(f"expected 1-200 characters, got {len(text)}")
    if not text.isprintable():
        raise ValueError(f"expected printable characters, got {text!a}")


def _prose(text: str) -> None:
    if len(text) > 2000:
        raise ValueError(f"expected at most 2000 characters, got {len(text)}")


def _in_a_row(number: int) -> None:
    if not 1 <= number <= _MOST_IN_A_ROW:
        raise ValueError(f"expected 1-{_MOST_IN_A_ROW}, got {number}")


def _messages(number: int) -> None:
    if not 1 <= number <= 10_000:
        raise ValueError(f"expected 1-10000, got {number}")


def _probes(number: int) -> None:
    if not 1 <= number <= 100_000:
        raise ValueError(f"expected 1-100000, got {number}")


def _web_address(text: str) -> None:
    expected = f'expected a URL such as "https://status.example.org", got {shown(text)}'
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(expected) from None
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\x00-\x1f\x7f]", text):
        raise ValueError(expected)
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(f"{expected} with more than a host and a path")


def _reminders(value: object) -> None:
    if value != "never":
        try:
            interval = Duration.parse(value)
        except ValueError:
            raise ValueError(f'expected a duration such as "4h", or "never", got {shown(value)}') from None
        if interval < 1:
            raise ValueError(f'expected a duration of at least "1s", or "never", got {shown(value)}')


def _alerting(states: tuple[str, ...]) -> None:
    if "down" not in states or len(set(states)) != len(states):
        raise ValueError('expected ["down"] or ["down", "degraded"]')


def _some_states(states: tuple[str, ...]) -> None:
    if not states or len(set(states)) != len(states):
        raise ValueError('expected one or both of "down" and "degraded"')


def _some_groups(names: tuple[str, ...]) -> None:
    if not names:
        raise ValueError("expected at least one group")


def _changes(number: int) -> None:
    if not 1 <= number <= 1000:
        raise ValueError(f"expected 1-1000, got {number}")


def _memory(size: ByteSize) -> None:
    if size < _LEAST_MEMORY:
        raise ValueError(f'expected at least "{_LEAST_MEMORY}", got {shown(str(size))}')


def _some_targets(targets: tuple[str, ...] | dict[str, str]) -> None:
    if not targets:
        raise ValueError("expected at least one target")


def _once_each(names: tuple[str, ...]) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise OptionError(f"sinks[{index}]", f"{shown(name)} is named twice")


_reference = url_with("http", "https", "tcp", example="https://example.org/")


def _references(urls: tuple[str, ...]) -> None:
    for index, url in enumerate(urls):
        try:
            _reference(url)
        except ValueError as exc:
            raise OptionError(f"reference[{index}]", str(exc)) from exc
        parts = urlsplit(url)
        if parts.scheme == "tcp" and (parts.port is None or parts.path or parts.query or "@" in parts.netloc):
            raise OptionError(f"reference[{index}]", f"expected tcp://HOST:PORT, got {shown(url)}")


@attrs.frozen(kw_only=True)
class MonitorTable:
    """`[monitor]`: the daemon itself."""

    listen: Listen = key(default=Listen("127.0.0.1", 8080), doc="where the page, the API and the metrics are")
    data_dir: Path | None = key(default=None, doc="directory of the database and its lock; default `data`")
    max_concurrent_probes: int = key(default=500, doc="probes at the same time, 1-100000", validator=_probes)
    include: tuple[str, ...] = key(default=(), doc="more files with endpoints and sinks, as globs")
    external_url: str | None = key(default=None, doc="the page's URL for links in alerts", validator=_web_address)
    sinks: tuple[str, ...] | None = key(
        default=None, doc="sinks for alerts about the monitor itself; default those of [defaults]", validator=_once_each
    )
    reference: tuple[str, ...] = key(
        default=(), doc="what always answers while the monitor's own network works", validator=_references
    )
    dead_man: str | None = key(
        default=None, doc="where to send a sign of life each minute", validator=url_with("http", "https", secret=True)
    )
    worker_memory: ByteSize = key(
        default=DEFAULT_MEMORY,
        doc="memory that a program of a check, or an isolated check, may have with all it starts; at least 32MiB",
        validator=_memory,
    )
    watch: bool = key(default=True, doc="read the config again when one of its files changes")
    probe_api: bool = key(default=False, doc="serve blackbox_exporter's /probe, with the modules")


@attrs.frozen(kw_only=True)
class AccessTable:
    """`[monitor.access]`: who may see what over HTTP."""

    public: bool = key(default=False, doc="visitors see the endpoints that are public")
    read_token: str = key(default="", doc="makes a reader; empty is none", secret=True)
    admin_token: str = key(default="", doc="makes an admin; empty is none", secret=True)


@attrs.frozen(kw_only=True)
class PluginsTable:
    """`[plugins]`: checks and sinks of local files; kind = "module:Class" or "path/file.py:Class"."""

    checks: dict[str, str] = key(factory=dict, doc="checks")
    sinks: dict[str, str] = key(factory=dict, doc="sinks")


@attrs.frozen(kw_only=True)
class DefaultsTable:
    """`[defaults]`: what an endpoint that does not say otherwise has."""

    interval: Duration = key(default=Duration(30), doc="from one probe to the next")
    timeout: Duration = key(default=Duration(5), doc="for a whole probe")
    retry_interval: Duration = key(
        default=Duration(5), doc="from one probe to the next while a change is not confirmed; at most interval"
    )
    failure_threshold: int = key(default=3, doc="failures in a row before down, 1-10000", validator=_in_a_row)
    success_threshold: int = key(default=2, doc="successes in a row before up again, 1-10000", validator=_in_a_row)
    reminder_interval: Any = key(default="never", doc="how often to repeat an alert", validator=_reminders)
    alert_on: tuple[Literal["down", "degraded"], ...] = key(
        default=("down",), doc="which states are worth an alert", validator=_alerting
    )
    flap_changes: int = key(default=6, doc="more changes of state within flap_window are flapping", validator=_changes)
    flap_window: Duration = key(default=Duration(1800), doc="over which changes of state are counted")
    sinks: tuple[str, ...] | None = key(default=None, doc="names of sinks; default all of them", validator=_once_each)


@attrs.frozen(kw_only=True)
class EndpointTable(DefaultsTable):
    """`[[endpoint]]`: one thing to watch. All other keys belong to its check."""

    name: str = key(doc="unique; 1-100 printable characters without `/`", validator=title)
    group: str | None = key(default=None, doc="1-100 printable characters without `/`", validator=title)
    check: str | None = key(default=None, doc="kind of check; default what the URL's scheme says")
    enabled: bool = key(default=True, doc="watch it")
    expect: tuple[Expression, ...] = key(default=(), doc="CEL expressions: one that is false means down")
    degraded: tuple[Expression, ...] = key(default=(), doc="CEL expressions: one that is false means degraded")
    labels: dict[str, str] = key(factory=dict, doc="go with its alerts")
    public: bool = key(default=False, doc="visitors may see it")
    description: str | None = key(default=None, doc="goes with its alerts")
    runbook: str | None = key(default=None, doc="goes with its alerts: what to do")
    depends_on: tuple[str, ...] = key(default=(), doc="endpoints without which it cannot work")
    targets: tuple[str, ...] | dict[str, str] | None = key(
        default=None, doc="an endpoint for each of these hosts or URLs, called name:target", validator=_some_targets
    )
    targets_file: str | None = key(default=None, doc="the same for those in a file of Prometheus' file_sd, or a glob")
    invert: bool = key(default=False, doc="it should fail: down is up, up and degraded are down, unknown stays unknown")
    isolation: Literal["task", "process"] = key(
        default="task", doc="where its check runs: among all others, or in a process that is killed when it overruns"
    )


@attrs.frozen(kw_only=True)
class MaintenanceTable:
    """`[[maintenance]]`: when endpoints are worked on; probes go on, alerts do not."""

    endpoints: tuple[str, ...] = key(doc="names of endpoints, `group:NAME`, or `*` for all")
    duration: Duration = key(doc="how long")
    start: datetime | None = key(default=None, doc="of one window; with an offset, or local with timezone")
    days: tuple[Day, ...] = key(default=(), doc="of a weekly window")
    at: time | None = key(default=None, doc="when a weekly window begins, by the clocks of timezone")
    timezone: str | None = key(default=None, doc="an IANA name; a weekly window without is in UTC")


@attrs.frozen(kw_only=True)
class AnnouncementTable:
    """`[[announcement]]`: what people shall read on the page."""

    title: str = key(doc="in a few words", validator=_heading)
    text: str = key(default="", doc="more about it; plain text", validator=_prose)
    level: Literal["information", "warning"] = key(default="information", doc="how it looks")
    start: datetime | None = key(default=None, doc="from when on it is shown, with an offset; default at once")
    end: datetime | None = key(default=None, doc="until when, with an offset; default for as long as it stands there")
    public: bool = key(default=True, doc="visitors see it, where they see the page")


@attrs.frozen(kw_only=True)
class ModuleTable:
    """`[module.NAME]`: how `/probe` looks at a target that is named then. All other keys belong to its check."""

    check: str = key(doc="kind of check")
    invert: bool = key(default=False, doc="it should fail: down is up, up and degraded are down")
    timeout: Duration = key(default=Duration(5), doc="for a whole probe; less where Prometheus waits less")
    expect: tuple[Expression, ...] = key(default=(), doc="CEL expressions: one that is false means down")
    degraded: tuple[Expression, ...] = key(default=(), doc="CEL expressions: one that is false means degraded")


@attrs.frozen(kw_only=True)
class SinkTable:
    """`[[sink]]`: one place for alerts. All other keys belong to its type."""

    name: str = key(doc="unique; 1-100 printable characters without `/`", validator=title)
    type: str = key(doc="kind of sink")
    give_up_after: Duration = key(default=Duration(3 * 86400), doc="how long to try to deliver an alert")
    alert_on: tuple[Literal["down", "degraded"], ...] | None = key(
        default=None, doc="only these states, of those that the endpoint alerts on", validator=_some_states
    )
    after: Duration | None = key(default=None, doc="only an incident that has lasted that long")
    groups: tuple[str, ...] | None = key(
        default=None, doc="only endpoints in one of these groups", validator=_some_groups
    )
    labels: dict[str, str] = key(factory=dict, doc="only endpoints that have all of these labels")
    group_wait: Lifetime = key(
        default=Lifetime(1), doc="how long an alert waits for others, where the format has room for several"
    )
    max_per_minute: int | None = key(default=None, doc="messages a minute, 1-10000; more wait", validator=_messages)
