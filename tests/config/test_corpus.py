"""The corpus in tests/configs: bad-*.toml each with its exact messages, good-*.toml with their values.

To add a case, write the .toml and the .txt; the test shows what differs.
"""

from __future__ import annotations

from datetime import UTC, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from monitor.config.load import load
from monitor.core.announcements import Announcement
from monitor.core.errors import ConfigError
from monitor.core.maintenance import Once, Weekly, Window

CONFIGS = Path(__file__).parent.parent / "configs"
BAD = sorted(CONFIGS.glob("bad-*.toml"))
# Hard to mask: it needs escapes, holds a slash, and is long enough to be cut where it is shown.
SECRET = 'correct-horse "battery" staple/é and a tail that is long enough to be cut when it is shown'


@pytest.fixture(autouse=True)
def among_the_configs(monkeypatch):
    monkeypatch.chdir(CONFIGS)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_every_mistake_is_told_with_its_line(path):
    with pytest.raises(ConfigError) as caught:
        load(Path(path.name), environ={"SECRET": SECRET})
    assert str(caught.value).splitlines() == path.with_suffix(".txt").read_text("utf-8").splitlines()


def test_the_corpus_is_complete():
    assert len(BAD) >= 35
    assert {path.stem for path in BAD} == {path.stem for path in CONFIGS.glob("bad-*.txt")}


def test_no_piece_of_a_secret_is_told():
    text = (CONFIGS / "bad-secrets-hidden.txt").read_text("utf-8")
    assert "***" in text
    for piece in (*SECRET.split(), "password-in-clear", "token-from-a-file"):
        if len(piece) > 4:  # shorter ones are ordinary words of messages
            assert piece.strip('"/') not in text


def test_a_minimal_config_has_the_documented_defaults():
    config = load(Path("good-minimal.toml"), environ={})
    (endpoint,) = config.endpoints
    assert (endpoint.name, endpoint.kind, endpoint.target) == ("shop", "http", "https://shop.example.org/health")
    assert (endpoint.interval, endpoint.timeout, endpoint.retry_interval) == (30, 5, 5)
    assert (endpoint.failure_threshold, endpoint.success_threshold) == (3, 2)
    assert (endpoint.enabled, endpoint.public, endpoint.group, endpoint.sinks) == (True, False, None, ())
    assert (str(config.listen), config.max_concurrent_probes) == ("127.0.0.1:8080", 500)
    assert config.data_dir == CONFIGS / "data"
    assert (config.external_url, config.access.public, config.access.read_token) == (None, False, "")


def test_an_empty_config_is_valid():
    config = load(Path("good-empty.toml"), environ={})
    assert (config.endpoints, config.sinks, config.plugins) == ((), (), ())


def test_every_key():
    environ = {"READ_TOKEN": "reader-token", "PASSWORD": "p@ss", "TOKEN": "tok-12345", "INSTANCE": ""}
    config = load(Path("good-everything.toml"), environ=environ)
    assert (config.listen.host, config.listen.port) == ("::1", 0)
    assert config.data_dir == CONFIGS / "state/main"
    assert (config.max_concurrent_probes, config.external_url) == (50, "https://status.example.org/monitor")
    access = config.access
    assert (access.public, access.read_token, access.admin_token) == (True, "reader-token", "token-from-a-file")
    assert dict(config.plugins) == {
        "checks.good": "files/checks_for_tests.py:Good",
        "checks.picky": "files/checks_for_tests.py:Picky",
        "sinks.paper": "files/checks_for_tests.py:Paper",
    }
    assert [endpoint.name for endpoint in config.endpoints] == ["shop", "defaults apply", "feed", "local", "included"]
    assert [endpoint.name for endpoint in config.enabled] == ["defaults apply", "feed", "local", "included"]
    assert [(sink.name, sink.kind, sink.give_up_after) for sink in config.sinks] == [
        ("ops", "webhook", 12 * 3600),
        ("log", "log", 3 * 86400),
        ("paper", "paper", 3 * 86400),
        ("included", "log", 3 * 86400),
    ]
    assert [(sink.group_wait, sink.per_minute) for sink in config.sinks] == [(0, 6), (1, None), (1, None), (1, None)]


def test_maintenance_and_dependencies():
    environ = {"READ_TOKEN": "x", "PASSWORD": "p@ss", "TOKEN": "tok-12345"}
    config = load(Path("good-everything.toml"), environ=environ)
    assert [endpoint.depends_on for endpoint in config.endpoints] == [("feed", "included"), (), (), (), ()]
    offset, local, weekly, always = config.maintenance
    assert offset == Window(("shop", "group:web"), Once(start=datetime(2026, 12, 1, 1, tzinfo=UTC), duration=7200))
    assert local.when == Once(start=datetime(2026, 12, 1, 7, 0, 0, 500_000, tzinfo=UTC), duration=86400)
    assert (weekly.targets, weekly.when) == (
        ("*",),
        Weekly(days=frozenset({2, 6}), at=time(23, 30), duration=3600, zone=ZoneInfo("Europe/Berlin")),
    )
    assert always.when == Weekly(days=frozenset({0}), at=time(0), duration=7 * 86400, zone=UTC)


def test_announcements():
    environ = {"READ_TOKEN": "x", "PASSWORD": "p@ss", "TOKEN": "tok-12345"}
    (found,) = load(Path("good-everything.toml"), environ=environ).announcements
    assert found == Announcement(
        title="Payments move",
        text="Tonight.\nBear with us.",
        level="warning",
        start=datetime(2026, 12, 1, 11, tzinfo=UTC),
        end=datetime(2026, 12, 2, 6, tzinfo=UTC),
        public=False,
    )


def test_own_keys_go_before_defaults_and_nothing_is_merged():
    environ = {"READ_TOKEN": "x", "PASSWORD": "p@ss", "TOKEN": "tok-12345"}
    shop, plain, feed, local, included = load(Path("good-everything.toml"), environ=environ).endpoints
    assert (shop.interval, shop.timeout, shop.retry_interval) == (0.25, 90, 0.1)
    assert (shop.failure_threshold, shop.success_threshold, shop.sinks) == (1, 2, ("paper", "log"))
    assert (shop.check.method, shop.check.headers) == ("GET", {"X-Dollar": "$5 and $6"})
    assert (plain.interval, plain.timeout, plain.retry_interval) == (60, 2.5, 10)
    assert (plain.failure_threshold, plain.success_threshold, plain.sinks) == (5, 1, ("ops",))
    assert (plain.check.method, plain.check.headers, plain.check.body_limit) == (
        "HEAD",
        {"Accept": "text/plain"},
        65536,
    )
    assert feed.sinks == ()
    assert (feed.kind, feed.interval, local.kind) == ("websocket", 60, "picky")
    assert included.check.url == "https://included.example.org/"  # read from beside the included file


def test_what_is_inserted_works_but_is_not_shown():
    environ = {"READ_TOKEN": "x", "PASSWORD": "p@ss", "TOKEN": "tok-12345", "PRICE": "not for expressions"}
    config = load(Path("good-everything.toml"), environ=environ)
    shop, plain, *_, included = config.endpoints
    assert shop.check.url == "https://user:p@ss@shop.example.org/health?token=tok-12345"
    assert shop.target == "https://user:***@shop.example.org/health?token=***"
    assert shop.expect.sources == ("status == 200", "headers['x-price'] == '${PRICE}'")
    assert plain.check.json == {
        "price": 1.5,
        "note": "not for expressions",
        "deep": [{"a": ["tok-12345"]}],
        "file": {"file": "x"},
    }
    assert included.target == "***"
    assert config.masker("reader token-from-a-file, p@ss and tok-12345") == "reader ***, *** and ***"
