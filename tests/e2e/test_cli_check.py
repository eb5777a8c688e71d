"""`monitor check` as a process, against real servers on loopback."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest
import trio
from support.cli import killed, monitor, start
from support.loopback import serve, serve_http

if TYPE_CHECKING:
    from pathlib import Path

CRASHING = """
import attrs
from monitor.api import Check, Probe, Verdict, check_option

@attrs.frozen(kw_only=True)
class Crashing(Check):
    url: str = check_option(doc="anything")

    async def probe(self, probe: Probe) -> Verdict:
        raise SystemExit(0)
"""


COLOURFUL = """
import attrs
from monitor.api import Check, Probe, Verdict

@attrs.frozen(kw_only=True)
class Colourful(Check):
    target = "target \\x1b[31mred"

    async def probe(self, probe: Probe) -> Verdict:
        probe.facts["fact"] = "\\x1b[31mred"
        return Verdict.down("reason \\x1b[31mred")
"""


def answer(path: str) -> tuple[int, bytes]:
    match path:
        case "/down":
            return 503, b'{"db": "gone"}'
        case _:
            return 200, b'{"db": "ok"}'


@pytest.fixture
async def port(nursery: trio.Nursery) -> int:
    started: int = await nursery.start(serve_http, answer)
    return started


def write_config(directory: Path, port: int) -> None:
    """One endpoint for each status, in no order of severity, and a disabled one."""
    base = f"http://127.0.0.1:{port}"
    (directory / "crashing.py").write_text(CRASHING)
    (directory / "config.toml").write_text(f"""
[plugins.checks]
crashing = "crashing.py:Crashing"

[[endpoint]]
name = "slow"
group = "web"
url = "{base}/slow"
degraded = ["body_size == 0"]

[[endpoint]]
name = "good"
url = "{base}/good"
expect = ["json.db == 'ok'"]

[[endpoint]]
name = "bad"
url = "{base}/down"

[[endpoint]]
name = "broken"
check = "crashing"
url = "x"

[[endpoint]]
name = "off"
url = "{base}/down"
enabled = false
""")


@pytest.mark.parametrize(
    ("only", "code", "statuses"),
    [
        (["good"], 0, ["up"]),
        (["good", "slow"], 1, ["degraded", "up"]),
        (["good", "slow", "broken"], 3, ["degraded", "up", "unknown"]),
        (["*"], 2, ["degraded", "up", "down", "unknown"]),
        (["b*"], 2, ["down", "unknown"]),
        (["b*", "good"], 2, ["up", "down", "unknown"]),
    ],
)
async def test_the_worst_decides_and_the_order_is_the_configs(
    only: list[str], code: int, statuses: list[str], port: int, tmp_path: Path
) -> None:
    write_config(tmp_path, port)
    choice = [word for glob in only for word in ("--only", glob)]
    done = await monitor("check", *choice, cwd=tmp_path)
    assert (done.code, done.err) == (code, "")
    assert [line.split()[1] for line in done.lines if line[0] in "✓!✗?"] == statuses


async def test_many_targets_and_what_should_fail(port: int, tmp_path: Path) -> None:
    (tmp_path / "sd.json").write_text(json.dumps([{"targets": [f"127.0.0.1:{port}", f"http://127.0.0.1:{port}/down"]}]))
    (tmp_path / "config.toml").write_text(
        '[[endpoint]]\nname = "many"\ncheck = "http"\ntargets_file = "sd.json"\n'
        f'[[endpoint]]\nname = "gone"\nurl = "http://127.0.0.1:{port}/{{target}}"\ninvert = true\n'
        'targets = { yes = "down", no = "up" }\n'
    )
    done = await monitor("check", "--format", "json", cwd=tmp_path)
    assert done.code == 2
    seen = {each["name"]: (each["status"], each["reason"]["message"]) for each in json.loads(done.out)["endpoints"]}
    assert seen == {
        f"many:127.0.0.1:{port}": ("up", ""),
        f"many:127.0.0.1:{port}_down": ("down", "expected status 200-299, got 503"),
        "gone:yes": ("up", ""),
        "gone:no": ("down", "expected it to fail (invert), it is up"),
    }
    assert (await monitor("check", "--only", "gone:y*", cwd=tmp_path)).code == 0


async def test_the_lines_for_people(port: int, tmp_path: Path) -> None:
    write_config(tmp_path, port)
    done = await monitor("check", cwd=tmp_path)
    good = next(line for line in done.lines if " good " in line)
    assert good.startswith("✓ up        good  ")
    assert good.endswith(f" ms  http://127.0.0.1:{port}/good")
    where = done.lines.index(next(line for line in done.lines if line.startswith("✗ down      bad")))
    assert done.lines[where + 1] == "            expected status 200-299, got 503"
    assert done.lines[-1] == "4 endpoints: 1 up, 1 degraded, 1 down, 1 unknown"
    assert "\x1b" not in done.out


async def test_explain_shows_phases_and_facts(port: int, tmp_path: Path) -> None:
    write_config(tmp_path, port)
    done = await monitor("check", "--only", "good", "--explain", cwd=tmp_path)
    evidence = [line.strip() for line in done.lines[1:-1]]
    assert evidence[0].startswith("phases: ")
    assert "connect " in evidence[0]
    assert "status: 200" in evidence
    assert "ip: 127.0.0.1" in evidence


async def test_json_is_one_object_of_the_documented_shape(port: int, tmp_path: Path) -> None:
    write_config(tmp_path, port)
    done = await monitor("check", "--format", "json", "--only", "slow", "--only", "bad", cwd=tmp_path)
    assert done.code == 2
    document = json.loads(done.out)
    assert list(document) == ["status", "endpoints"]
    assert document["status"] == "down"
    slow, bad = document["endpoints"]
    shape = ["name", "group", "check", "target", "status", "reason", "started_at", "duration", "phases", "facts"]
    assert list(bad) == shape
    assert (slow["name"], slow["group"], slow["check"], slow["status"]) == ("slow", "web", "http", "degraded")
    assert bad["group"] is None
    assert bad["target"] == f"http://127.0.0.1:{port}/down"
    assert bad["reason"]["code"] == "expectation"
    assert bad["reason"]["message"] == "expected status 200-299, got 503"
    assert bad["started_at"].endswith("Z")
    assert 0 < bad["phases"]["connect"] <= bad["duration"]
    assert bad["facts"]["status"] == 503


async def test_targets_need_no_config(port: int, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("this is no TOML")
    base = f"http://127.0.0.1:{port}"
    done = await monitor("check", f"{base}/good", f"{base}/down", "--format", "json", cwd=tmp_path)
    assert done.code == 2
    assert [each["name"] for each in json.loads(done.out)["endpoints"]] == [f"{base}/good", f"{base}/down"]
    shown = await monitor("check", f"{base}/good", cwd=tmp_path)
    assert shown.code == 0
    assert shown.lines[0].count(base) == 1  # name and target are the same


async def test_one_target_twice_is_two_results(port: int, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{port}/good"
    done = await monitor("check", url, url, cwd=tmp_path)
    assert (done.code, done.lines[-1]) == (0, "2 endpoints: 2 up")


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("example.org", "error: "),
        ("gopher://127.0.0.1/", "error: "),
        ("http://127.0.0.1:99999/", "error: "),
        ("http://", "error: "),
        ("http://[::1/", "error: "),
    ],
)
async def test_a_target_that_cannot_be_is_an_error(target: str, error: str, tmp_path: Path) -> None:
    done = await monitor("check", target, cwd=tmp_path)
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith(error)
    assert "a bug" not in done.err
    assert len(done.err.splitlines()) == 1


async def test_a_targets_password_is_shown_nowhere(nursery: trio.Nursery, tmp_path: Path) -> None:
    async def echo(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nX-Echo: s3cr3tw0rd\r\nContent-Length: 0\r\n\r\n")

    port = await nursery.start(serve, echo)
    for form in ("text", "json"):
        url = f"http://user:s3cr3tw%30rd@127.0.0.1:{port}/"
        done = await monitor("check", url, "--explain", "--format", form, cwd=tmp_path)
        assert done.code == 0
        assert "x-echo" in done.out
        assert "s3cr3tw" not in done.out + done.err
        assert "user:***@" in done.out


async def test_a_deadline_is_total_and_replaceable(nursery: trio.Nursery, tmp_path: Path) -> None:
    async def mute(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await trio.sleep_forever()

    port = await nursery.start(serve, mute)
    done = await monitor("check", f"http://127.0.0.1:{port}/", "--timeout", "300ms", "--format", "json", cwd=tmp_path)
    assert done.code == 2
    (result,) = json.loads(done.out)["endpoints"]
    assert result["reason"]["code"] == "timeout"
    assert result["reason"]["message"].startswith("no answer within 300 ms")


async def test_a_refused_connection_is_down(tmp_path: Path) -> None:
    done = await monitor("check", "http://127.0.0.1:1/", "ws://127.0.0.1:1/", cwd=tmp_path)
    assert done.code == 2
    assert done.lines[-1] == "2 endpoints: 2 down"
    assert sum("refused" in line for line in done.lines) == 2


@pytest.mark.parametrize(
    ("config", "args", "error"),
    [
        ("", [], "error: config.toml: there is no enabled endpoint to check\n"),
        (
            '[[endpoint]]\nname = "a"\nurl = "http://127.0.0.1/"\nenabled = false\n',
            [],
            "error: config.toml: there is no enabled endpoint to check\n",
        ),
        (
            '[[endpoint]]\nname = "a"\nurl = "http://127.0.0.1/"\n',
            ["--only", "b*", "--only", "c"],
            "error: --only 'b*' --only 'c' matches none of the 1 endpoints\n",
        ),
    ],
)
async def test_nothing_selected_is_an_error(config: str, args: list[str], error: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(config)
    done = await monitor("check", *args, cwd=tmp_path)
    assert (done.code, done.out, done.err) == (3, "", error)


async def test_a_name_with_brackets_matches_itself(port: int, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f'[[endpoint]]\nname = "[prod] api"\nurl = "http://127.0.0.1:{port}/"\n')
    done = await monitor("check", "--only", "[prod] api", cwd=tmp_path)
    assert done.code == 0


async def test_what_a_check_finds_cannot_steer_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "colourful.py").write_text(COLOURFUL)
    (tmp_path / "config.toml").write_text(
        '[plugins.checks]\ncolourful = "colourful.py:Colourful"\n[[endpoint]]\nname = "a"\ncheck = "colourful"\n'
    )
    done = await monitor("check", "--explain", cwd=tmp_path)
    assert done.code == 2
    assert "\x1b" not in done.out
    assert "target \\x1b[31mred" in done.out
    assert "            reason \\x1b[31mred" in done.out
    assert "            fact: \\x1b[31mred" in done.out


async def test_an_encoding_without_symbols_gets_plain_ones(port: int, tmp_path: Path) -> None:
    good, bad = f"http://127.0.0.1:{port}/good", f"http://127.0.0.1:{port}/down"
    done = await monitor("check", good, bad, cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert done.code == 2
    assert done.out.isascii()
    assert (done.lines[0][:6], done.lines[1][:6]) == ("+ up  ", "x down")


async def test_json_stays_json_in_any_encoding(port: int, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        f'[[endpoint]]\nname = "Bücher 本"\nurl = "http://127.0.0.1:{port}/"\n', encoding="utf-8"
    )
    for encoding in ("ascii", "utf-8", "latin-1"):
        done = await monitor("check", "--format", "json", cwd=tmp_path, PYTHONIOENCODING=encoding)
        assert json.loads(done.out)["endpoints"][0]["name"] == "Bücher 本"


async def test_what_a_check_prints_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "talks.py").write_text(
        "import attrs\n"
        "from monitor.api import Check, Probe, Verdict\n"
        "@attrs.frozen(kw_only=True)\n"
        "class Talks(Check):\n"
        "    async def probe(self, probe: Probe) -> Verdict:\n"
        "        print('here I am')\n"
        "        return Verdict.up()\n"
    )
    (tmp_path / "config.toml").write_text(
        '[plugins.checks]\ntalks = "talks.py:Talks"\n[[endpoint]]\nname = "a"\ncheck = "talks"\n'
    )
    done = await monitor("check", "--format", "json", cwd=tmp_path)
    assert (json.loads(done.out)["status"], done.err) == ("up", "here I am\n")


async def test_prometheus_reads_utf_8_whatever_the_terminal_speaks(port: int, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        f'[[endpoint]]\nname = "Bücher"\nurl = "http://127.0.0.1:{port}/"\n', encoding="utf-8"
    )
    for encoding in ("ascii", "latin-1"):
        done = await monitor("check", "--format", "prometheus", cwd=tmp_path, PYTHONIOENCODING=encoding)
        assert 'probe_success{check="http",endpoint="Bücher",group=""} 1.0' in done.lines


async def test_a_thousand_endpoints_in_one_call(port: int, tmp_path: Path) -> None:
    tables = [
        f'[[endpoint]]\nname = "e{number:04}"\nurl = "http://127.0.0.1:{port}/{number}"\ntimeout = "30s"\n'
        for number in range(1000)
    ]
    (tmp_path / "config.toml").write_text("\n".join(tables))
    done = await monitor("check", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert done.lines[-1] == "1000 endpoints: 1000 up"
    assert [line.split()[2] for line in done.lines[:-1]] == [f"e{number:04}" for number in range(1000)]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_ctrl_c_ends_it_with_130(
    number: signal.Signals, code: int, nursery: trio.Nursery, tmp_path: Path
) -> None:
    reached = trio.Event()

    async def mute(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        reached.set()
        await trio.sleep_forever()

    port = await nursery.start(serve, mute)
    process = await start("check", f"http://127.0.0.1:{port}/", "--timeout", "1h", cwd=tmp_path)
    try:
        with trio.fail_after(60):
            await reached.wait()
            process.send_signal(number)
            assert await process.wait() == code
            assert process.stdout is not None
            assert process.stderr is not None
            assert await process.stdout.receive_some() == b""
            assert await process.stderr.receive_some() == b""
    finally:
        await killed(process)
