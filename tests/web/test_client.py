"""The commands' way to a running daemon: where it is found, what it is shown, what its answers become."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
from support.face import PlainFace, down, shop, start
from support.probes import answers, http, serve

from monitor import address
from monitor.cli.client import Client, NoDaemonError, RefusedError
from monitor.config import Access
from monitor.core.errors import ConfigError, MonitorError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TOKENS = Access(read_token="r3ad-tökén", admin_token="4dm1n")
CONFIG = '[monitor]\ndata_dir = "data"\n[monitor.access]\nread_token = "r3ad-tökén"\nadmin_token = "4dm1n"\n'


async def asked(ask: Callable[..., Any], *args: Any) -> Any:
    return await trio.to_thread.run_sync(partial(ask, *args))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    (tmp_path / "data").mkdir()
    return path


async def test_it_asks_with_the_read_token_of_the_config(nursery: trio.Nursery, config: Path) -> None:
    face = PlainFace([shop("shop")], access=TOKENS)
    face.knows(down("shop"))
    address.leave(config.parent / "data", f"http://127.0.0.1:{await start(nursery, face)}")
    found = await asked(Client.of(config, None, {}).get, "/api/v1/endpoints", "endpoints")
    assert [each["state"] for each in found["endpoints"]] == ["down"]


async def test_the_daemons_no_is_its_own_sentence(nursery: trio.Nursery, config: Path) -> None:
    url = f"http://127.0.0.1:{await start(nursery, PlainFace(access=TOKENS))}"
    with pytest.raises(RefusedError, match="nothing at this address, or nothing that you may see") as caught:
        await asked(Client.of(config, url, {}).get, "/api/v1/endpoints/none", "incident")
    assert caught.value.status == 404


@pytest.mark.parametrize(
    ("given", "environ", "url"),
    [
        ("http://given:1", {"MONITOR_URL": "http://env:2"}, "http://given:1"),
        (None, {"MONITOR_URL": "http://env:2/base/"}, "http://env:2/base/"),
        (None, {"MONITOR_URL": ""}, "http://127.0.0.1:3"),
        (None, {}, "http://127.0.0.1:3"),
    ],
)
def test_where_the_daemon_is(config: Path, given: str | None, environ: dict[str, str], url: str) -> None:
    address.leave(config.parent / "data", "http://127.0.0.1:3")
    client = Client.of(config, given, environ)
    assert (client.url, client.read_token, client.admin_token) == (url, "r3ad-tökén", "4dm1n")
    assert "4dm1n" not in repr(client)


def test_with_a_url_there_need_be_no_config(tmp_path: Path) -> None:
    client = Client.of(tmp_path / "none.toml", "http://127.0.0.1:1", {})
    assert (client.read_token, client.admin_token) == ("", "")
    with pytest.raises(ConfigError):
        Client.of(tmp_path / "none.toml", None, {})


def test_without_an_admin_token_nothing_is_asked() -> None:
    client = Client(url="http://127.0.0.1:1")
    for change in (client.post, client.delete):
        with pytest.raises(MonitorError, match="set admin_token in"):
            change("/api/v1/silences")


def test_no_daemon_runs(config: Path) -> None:
    with pytest.raises(NoDaemonError, match="no daemon runs in"):
        Client.of(config, None, {})
    with pytest.raises(NoDaemonError, match=r"no daemon answers at http://127.0.0.1:1 \(--url\)"):
        Client.of(config, "http://127.0.0.1:1", {}).get("/", "endpoints")


@pytest.mark.parametrize(
    "url", ["nonsense", "ftp://x", "http://", "http://u:pass@x", "http://x:99999", "http://x/?token=pass", "http://é"]
)
def test_what_is_no_url_is_told_without_showing_it(config: Path, url: str) -> None:
    with pytest.raises(MonitorError, match="expected the URL of a daemon") as caught:
        Client.of(config, url, {})
    assert "pass" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (http(200, b"<html>"), r"does not answer as a monitor does \(HTTP 200, no JSON\)"),
        (http(200, b'{"db": "ok"}'), r"does not answer as a monitor does \(no endpoints\)"),
        (http(200, b"[]"), r"does not answer as a monitor does \(no endpoints\)"),
        (http(500, b'"oops"'), r"does not answer as a monitor does \(HTTP 500\)"),
        (http(302, b"", "Location: http://127.0.0.1:1/"), r"does not answer as a monitor does \(HTTP 302\)"),
        (b"SSH-2.0-x\r\n\r\n", "no answer from http://127"),
        (b"", "no answer from http://127"),
    ],
)
async def test_what_is_no_monitor(nursery: trio.Nursery, answer: bytes, problem: str) -> None:
    url = f"http://127.0.0.1:{await serve(nursery, answers(answer))}"
    with pytest.raises(MonitorError, match=problem):
        await asked(Client(url=url).get, "/", "endpoints")


@pytest.mark.parametrize(
    ("url", "left"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("http://[::]:8080", "http://[::1]:8080"),
    ],
)
def test_the_address_that_is_left(tmp_path: Path, url: str, left: str) -> None:
    with address.known(tmp_path, url) as problem:
        assert problem is None
        assert address.left_in(tmp_path) == left
        assert (tmp_path / address.NAME).stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_cannot_be_left_is_no_obstacle(tmp_path: Path) -> None:
    with address.known(tmp_path / "missing", "http://127.0.0.1:1") as problem:
        assert isinstance(problem, FileNotFoundError)
    assert address.left_in(tmp_path / "missing") is None


@pytest.mark.parametrize("content", ["", "rubbish", "http://\x1b[31m", "http://" + "x" * 400])
def test_rubbish_is_no_address(tmp_path: Path, content: str) -> None:
    (tmp_path / address.NAME).write_text(content)
    assert address.left_in(tmp_path) is None
