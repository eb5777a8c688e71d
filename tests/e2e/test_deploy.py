"""What is in deploy/ is true: its commands are ours, its paths exist, the real systemd and nginx take it.

No image is built here, and no systemd runs: the commands of the unit and of the image are run one by one.
"""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio
import trio_websocket
from support.daemon import PATIENCE, Daemon, daemon, until
from test_service_manager import Manager

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy/systemd/nursery-monitor.service"
CONTAINERFILE = (ROOT / "deploy/Containerfile").read_text()
OPERATIONS = (ROOT / "docs/operations.md").read_text()
INSTALLED = "/opt/nursery-monitor/bin/monitor"
TOKEN = "a-token-that-nobody-guesses"
CONFIG = f"""
[monitor]
listen = "127.0.0.1:0"
external_url = "https://status.example.org/monitor/"
[monitor.access]
read_token = "{TOKEN}"
[[endpoint]]
name = "shop"
url = "http://127.0.0.1:1/"
interval = "1s"
"""

systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
kill = pytest.mark.skipif(not Path("/bin/kill").exists(), reason="/bin/kill, of procps, is not installed")
nginx = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment, method-assign] # as it is written
    parser.read(UNIT)
    return parser


def instructions() -> list[tuple[str, str]]:
    """The Containerfile's instructions in order, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", CONTAINERFILE, flags=re.MULTILINE))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in text.splitlines()) if word]


def of(word: str) -> list[str]:
    return [rest for each, rest in instructions() if each == word]


# systemd.


@kill
async def test_the_commands_of_the_unit_start_reload_and_stop_it(tmp_path: Path, nursery: trio.Nursery) -> None:
    service = unit()["Service"]
    assert service["Type"] == "notify"
    assert float(service["WatchdogSec"].removesuffix("s")) > 30, "the monitor's own watchdog comes first"
    (tmp_path / "nursery-monitor").mkdir()
    (tmp_path / "nursery-monitor/config.toml").write_text(CONFIG)
    command = service["ExecStart"].replace("%E", str(tmp_path)).replace("%S", str(tmp_path / "state"))
    program, run, *args = shlex.split(command)
    assert (program, run) == (INSTALLED, "run")
    manager = Manager(tmp_path)
    await nursery.start(manager.listen)
    async with daemon(tmp_path, *args, NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="60000000") as running:
        assert (tmp_path / "state/nursery-monitor/monitor.db").exists()
        reload = shlex.split(service["ExecReload"].replace("$MAINPID", str(running.process.pid)))
        await trio.run_process(reload)
        await manager.until("RELOADING")
        await manager.until("READY", 2)
        assert await running.stop(signal.SIGTERM) == 0


@kill
@systemd
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace(INSTALLED, sys.executable))  # it must exist to be verified
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@systemd
def test_the_unit_is_locked_up() -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", UNIT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


# The image.


def test_the_image_takes_what_is_there_and_nothing_else() -> None:
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert ignored[0] == "*"
    kept = {line[1:] for line in ignored if line.startswith("!")}
    copied = {source for each in of("COPY") if "--from" not in each for source in each.split()[:-1]}
    assert copied == kept
    assert all((ROOT / each).exists() for each in copied)
    assert any(fnmatch("monitor/__pycache__", each) for each in ignored[1:])


def test_the_image_is_of_pinned_parts_and_runs_as_nobody() -> None:
    assert any("--require-hashes" in each and "-r requirements.lock" in each for each in of("RUN"))
    pinned = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    (removed,) = [each for each in of("RUN") if "uninstall --yes editables" in each]
    names = re.findall(r"[a-z-]+", removed.partition("--yes ")[2].partition("&&")[0])
    assert set(names) <= pinned
    user, _, group = of("USER")[-1].partition(":")
    assert user == group != "0"


async def test_the_command_of_the_image_runs_and_its_health_check_tells(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(CONFIG)
    (entry,), (run, *args) = json.loads(of("ENTRYPOINT")[-1]), json.loads(of("CMD")[-1])
    assert (entry, run) == ("monitor", "run")
    assert args[args.index("--listen") + 1] == f"0.0.0.0:{of('EXPOSE')[-1]}"
    assert args[args.index("--data-dir") + 1] == of("VOLUME")[-1]
    args[args.index("--listen") + 1] = "0.0.0.0:0"
    args[args.index("--data-dir") + 1] = str(tmp_path / "data")
    async with daemon(tmp_path, *args) as running:
        port = running.url.rpartition(":")[2]
        assert await health(port) == 0
        assert await running.stop() == 0
        assert await health(port) != 0


async def health(port: str) -> int:
    """What the health check ends with, of a monitor at *port*."""
    (check,) = of("HEALTHCHECK")
    program, *args = json.loads(check.partition("CMD ")[2])
    assert program == "python"
    command = [sys.executable, *(each.replace("8080", port) for each in args)]
    return (await trio.run_process(command, check=False, capture_stderr=True)).returncode


# A proxy.


async def start_nginx(tmp_path: Path, running: Daemon, nursery: trio.Nursery) -> httpx.AsyncHTTPTransport:
    """Start nginx before the daemon, as the page says; the way to it."""
    (text,) = re.findall(r"^```nginx\n(.*?)^```$", OPERATIONS, re.DOTALL | re.MULTILINE)
    place = tmp_path / "front"
    paths = " ".join(f"{each}_temp_path {tmp_path}/{each};" for each in ("proxy", "fastcgi", "uwsgi", "scgi"))
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/pid; worker_processes 1; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {tmp_path}/body; {paths}\n"
        f"server {{ listen unix:{place}; {text.replace('http://127.0.0.1:8080', running.url)} }} }}\n"
    )
    command = ["nginx", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"]
    nursery.start_soon(partial(trio.run_process, command, check=False, capture_stderr=True))

    async def is_there() -> bool:
        return place.exists()

    await until(is_there, "nginx in front of the monitor")
    return httpx.AsyncHTTPTransport(uds=str(place))


@nginx
async def test_nginx_as_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(CONFIG)
    authorization = f"Bearer {TOKEN}"
    async with daemon(tmp_path) as running, trio.open_nursery() as proxy:
        way = await start_nginx(tmp_path, running, proxy)
        base = "http://status.example.org/monitor/"
        async with httpx.AsyncClient(transport=way, base_url=base, headers={"Authorization": authorization}) as client:
            page = await client.get("")
            assert (page.status_code, "shop" in page.text) == (200, True)
            links = {page.url.join(each) for each in re.findall(r'(?:href|src)="([^"]+)"', page.text)}
            assert {each.path.split("/")[1] for each in links if each.host == page.url.host} == {"monitor"}
            (style, *_) = [each for each in links if each.path.endswith(".css")]
            assert (await client.get(style)).status_code == 200
            assert (await client.get("api/v1/endpoints")).json()["endpoints"][0]["name"] == "shop"
        with trio.fail_after(PATIENCE):
            async with await trio.open_unix_socket(tmp_path / "front") as stream:
                live = await trio_websocket.wrap_client_stream(
                    proxy,
                    stream,
                    "status.example.org",
                    "/monitor/api/v1/live",
                    extra_headers=[(b"Authorization", authorization.encode())],
                )
                assert json.loads(await live.get_message())["type"] in ("observation", "transition")
        proxy.cancel_scope.cancel()


def test_every_path_that_the_page_names_exists() -> None:
    for path in re.findall(r"`(deploy/[\w./-]+)`", OPERATIONS):
        assert (ROOT / path).exists(), path
