"""The pictures of docs/images: `make screenshots`. Chromium looks at the real daemon and a past made up for it.

Ninety days are told to the real recorder and store by a virtual clock, an observation at a time; then the daemon is
started on what they left, in a network in which nothing answers, so that nothing changes while pictures are taken.
"""

from __future__ import annotations

import contextlib
import math
import random
import sys
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import attrs
import trio
import trio.testing
from browser.conftest import chromium_path
from playwright.sync_api import sync_playwright

from monitor.config.load import load
from monitor.core.model import Code, Observation, Reason, Status
from monitor.daemon import Daemon
from monitor.live import LiveFeed
from monitor.recorder import Recorder
from monitor.store.opening import open_steady_store
from monitor.store.sqlite import run_here
from monitor.system import SystemRand

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from playwright.sync_api import Browser

    from monitor.config import Config
    from monitor.core.model import Endpoint

IMAGES = Path(__file__).parents[2] / "docs" / "images"
PAST = timedelta(days=90)
FINE = timedelta(hours=48)  # raw results are kept for so long
COARSE_STEP, STEP = timedelta(minutes=5), timedelta(minutes=1)
DAY = 86_400
WEB = {"resolve": 0.05, "connect": 0.12, "tls": 0.24, "processing": 0.5, "transfer": 0.09}
CONFIG = """
[monitor]
listen = "127.0.0.1:0"

[defaults]
interval = "1m"
timeout = "50s"
alert_on = ["down", "degraded"]

[[announcement]]
title = "Payments move to another provider tonight"
text = "Orders are taken as usual; confirmations may come an hour late."

[[endpoint]]
name = "shop"
group = "Storefront"
url = "https://shop.example.org/health"
labels = {{ team = "shop", region = "eu" }}
description = "What customers see first."
runbook = "https://wiki.example.org/shop"
[[endpoint]]
name = "checkout"
group = "Storefront"
url = "https://shop.example.org/checkout"
degraded = ["latency < duration('300ms')"]
[[endpoint]]
name = "search"
group = "Storefront"
url = "https://search.example.org/"
[[endpoint]]
name = "images"
group = "Storefront"
url = "https://images.example.org/"

[[endpoint]]
name = "price feed"
group = "Realtime"
url = "wss://feed.example.org/v1"
runbook = "https://wiki.example.org/feed"
[[endpoint]]
name = "chat"
group = "Realtime"
url = "wss://chat.example.org/"

[[endpoint]]
name = "postgres"
group = "Foundations"
url = "tcp://db.example.org:5432"
[[endpoint]]
name = "mail"
group = "Foundations"
url = "tcp://mail.example.org:25"
starttls = "smtp"
[[endpoint]]
name = "nightly backup"
group = "Foundations"
check = "heartbeat"
interval = "1d"
token = "of-nobody-but-the-backup"

[[maintenance]]
endpoints = ["nightly backup"]
start = {maintenance}
duration = "4h"
"""


@attrs.frozen
class Trouble:
    """From *begin* seconds ago for *length* seconds, an endpoint is not what it should be."""

    begin: float
    length: float
    status: Status
    reason: Reason


def _down(begin: float, minutes: float, code: Code, phase: str, message: str) -> Trouble:
    return Trouble(begin, minutes * 60, Status.DOWN, Reason(code, phase, message))


def _slow(begin: float, minutes: float) -> Trouble:
    message = "degraded: latency < duration('300ms') is false: latency is 412 ms"
    return Trouble(begin, minutes * 60, Status.DEGRADED, Reason(Code.EXPECTATION, "processing", message))


REFUSED = (Code.CONNECT, "connect", "connection refused (198.51.100.7:5432)")
ERROR = (Code.EXPECTATION, "processing", "expected status 200-299, got 503")
MUTE = (Code.TIMEOUT, "dialogue", "no pong within 500 ms (during dialogue)")
TROUBLES: Mapping[str, Sequence[Trouble]] = {
    "shop": [_down(71.3 * DAY, 24, *ERROR), _down(22.8 * DAY, 19, *ERROR)],
    "checkout": [_down(40.2 * DAY, 65, *ERROR), _slow(9.4 * DAY, 180), _down(8 * 3600, 7, *ERROR), _slow(330, 99)],
    "images": [_slow(33.1 * DAY, 40)],
    "price feed": [
        *(_down(day * DAY, 38, *MUTE) for day in (77.7, 58.1, 31.4, 12.9, 3.2)),
        _down(1500, 3, *MUTE),
        _down(190, 60, *MUTE),
    ],
    "chat": [_down(49.9 * DAY, 25, *MUTE)],
    "postgres": [_down(64.5 * DAY, 22, *REFUSED)],
}
SPEED = {"shop": 0.084, "checkout": 0.12, "search": 0.061, "images": 0.033, "price feed": 0.018, "chat": 0.027}


class _Past:
    """What was seen of everything, as if it had been."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._chance = random.Random(7)

    def seen(self, endpoint: Endpoint, at: datetime) -> Observation:
        """What a probe of *endpoint* at this time found."""
        ago = (self._now - at).total_seconds()
        trouble = next((t for t in TROUBLES.get(endpoint.name, ()) if t.begin - t.length < ago <= t.begin), None)
        status = Status.UP if trouble is None else trouble.status
        phases = {} if endpoint.kind == "heartbeat" else self._phases(endpoint, at, status)
        return Observation(
            endpoint=endpoint.name,
            status=status,
            reason=Reason(Code.OK) if trouble is None else trouble.reason,
            started_at=at,
            duration=round(sum(phases.values()), 6),
            phases=phases,
            facts=self._facts(endpoint, status, trouble),
        )

    def _phases(self, endpoint: Endpoint, at: datetime, status: Status) -> dict[str, float]:
        speed = SPEED.get(endpoint.name, 0.004)
        day = 1 + 0.3 * math.sin(at.timestamp() / DAY * 2 * math.pi)
        slow = 3.4 if status is Status.DEGRADED else 1.0
        parts = WEB if endpoint.target.startswith(("https", "wss")) else {"resolve": 0.3, "connect": 0.7}
        return {
            name: round(speed * share * day * self._chance.lognormvariate(0, 0.18) * (slow if share > 0.4 else 1), 6)
            for name, share in parts.items()
        }

    def _facts(self, endpoint: Endpoint, status: Status, trouble: Trouble | None) -> dict[str, Any]:
        if endpoint.kind == "heartbeat":
            return {}
        facts: dict[str, Any] = {"ip": "198.51.100.7"}
        if endpoint.target.startswith(("https", "wss")):
            facts |= {"tls_version": "1.3", "cert_expires_in": 61.0 * DAY, "cert_issuer": "Example CA"}
        if endpoint.kind == "http":
            bad = trouble is not None and status is Status.DOWN
            facts |= {"status": 503 if bad else 200, "http_version": "1.1", "redirects": 0, "url": endpoint.target}
            facts["headers"] = {"content-type": "text/html", "retry-after": "30"} if bad else {}
        return facts


class _Clock:
    """A wall clock that goes with Trio's."""

    def __init__(self, begin: datetime) -> None:
        self._begin = begin

    def monotonic(self) -> float:
        return trio.current_time()

    def wall(self) -> datetime:
        return self._begin + timedelta(milliseconds=round(trio.current_time() * 1000))

    def stalled(self) -> float:
        return 0.0


async def remember(config: Config, now: datetime) -> None:
    """Live through the past."""
    clock, past = _Clock(now - PAST), _Past(now)
    async with open_steady_store(config.data_dir, clock=clock, run_sync=run_here) as store:
        recorder = Recorder(store, clock=clock, rand=SystemRand(), feed=LiveFeed(), ring=lambda: None)
        recorder.configure(config.enabled, {}, None)
        while clock.wall() < now:
            for endpoint in config.enabled:
                await recorder.record(endpoint, past.seen(endpoint, clock.wall()))
            step = STEP if now - clock.wall() < FINE + timedelta(hours=1) else COARSE_STEP
            await trio.sleep(step.total_seconds())


class _Mute:
    """A network in which nothing answers."""

    drive = None

    async def connect(self, *_: object, **__: object) -> NoReturn:
        await trio.sleep_forever()

    async def start_tls(self, *_: object, **__: object) -> NoReturn:
        await trio.sleep_forever()


@contextlib.contextmanager
def shown(config: Config) -> Iterator[str]:
    """Run the daemon beside the block; its URL."""
    started, told = threading.Event(), {}

    async def main() -> None:
        daemon = Daemon(config, net=_Mute(), hangups=_never)
        async with trio.open_nursery() as nursery:
            told["url"] = await nursery.start(daemon.serve)
            told["stop"] = daemon.stop
            told["token"] = trio.lowlevel.current_trio_token()
            started.set()

    thread = threading.Thread(target=trio.run, args=(main,))
    thread.start()
    if not started.wait(30):
        sys.exit("error: the daemon did not start")
    try:
        yield told["url"]
    finally:
        told["token"].run_sync_soon(told["stop"])
        thread.join()


@contextlib.contextmanager
def _never() -> Iterator[trio.MemoryReceiveChannel[int]]:
    send, receive = trio.open_memory_channel[int](0)
    with send, receive:
        yield receive


DESK, PHONE = {"width": 1200, "height": 1180}, {"width": 390, "height": 844}
PICTURES = (
    ("light", "/", DESK, "light"),
    ("dark", "/", DESK, "dark"),
    ("phone", "/", PHONE, "light"),
    ("endpoint-light", "/endpoints/checkout", DESK, "light"),
    ("endpoint-dark", "/endpoints/price%20feed", DESK, "dark"),
    ("endpoint-phone", "/endpoints/shop", PHONE, "dark"),
    ("incidents", "/incidents", DESK, "light"),
    ("login", "/login", PHONE, "light"),
)


def take(browser: Browser, url: str, where: Path) -> None:
    """Take every picture of the daemon at *url*, into the folder *where*."""
    for name, path, viewport, scheme in PICTURES:
        phone = viewport is PHONE
        page = browser.new_page(viewport=viewport, color_scheme=scheme, device_scale_factor=2 if phone else 1)
        page.goto(url + path)
        page.wait_for_load_state("networkidle")
        page.screenshot(path=where / f"{name}.png", full_page=not phone)
        page.close()
        print(where.name, name)


def main() -> None:
    """See the module."""
    browser_path = chromium_path()
    if browser_path is None:
        sys.exit("error: Chromium is not installed: apt-get install chromium")
    now = datetime.now(UTC).replace(microsecond=0)
    where = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    where.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.toml"
        path.write_text(CONFIG.format(maintenance=f"{now - timedelta(minutes=9):%Y-%m-%dT%H:%M:%SZ}"))
        config = load(path, environ={})
        trio.run(remember, config, now, clock=trio.testing.MockClock(autojump_threshold=0))
        with shown(config) as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
            take(browser, url, where)
            browser.close()


if __name__ == "__main__":
    main()
