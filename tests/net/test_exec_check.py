"""The check `exec` with programs that are real: small scripts, and Debian's Nagios plugins where they are installed."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio
from support.below import alive, until_gone
from support.probes import endpoint, serve

import monitor.testing as kit
from checks import perfdata
from checks.exec import Exec
from monitor.api import Ran
from monitor.core.model import Code, Observation, Status
from monitor.gauges import of_observations
from monitor.net.sockets import SocketNet
from monitor.probing import probe_once
from monitor.processes.starter import Processes
from monitor.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

PLUGINS = Path("/usr/lib/nagios/plugins")
needs_plugins = pytest.mark.skipif(
    not (PLUGINS / "check_dummy").exists(), reason="Debian's monitoring-plugins-basic is not installed"
)


@pytest.fixture
async def processes() -> AsyncIterator[Processes]:
    async with Processes() as opened:
        yield opened


@pytest.fixture
def look(processes: Processes) -> Callable[..., Any]:
    async def look(*command: str, env: dict[str, str] | None = None, **settings: Any) -> Observation:
        check = Exec(command=command, env=env or {}, directory=settings.pop("directory", None))
        watched = endpoint(check, **settings)
        return await probe_once(watched, net=SocketNet(), clock=SystemClock(), mask=None, programs=processes)

    return look


def script(text: str) -> tuple[str, ...]:
    return sys.executable, "-c", textwrap.dedent(text)


SAYS = "echo \"PING $0 - all of it|rta=4.5ms;100;500;0;2000 'packet loss'=20%;; size=3KB note=U\"; echo more; exit $1"


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        (0, Status.UP, Code.OK),
        (1, Status.DEGRADED, Code.EXPECTATION),
        (2, Status.DOWN, Code.EXPECTATION),
        (3, Status.UNKNOWN, Code.INTERNAL),
    ],
)
async def test_the_exit_code_is_the_verdict(look: Any, code: int, status: Status, reason: Code) -> None:
    seen = await look("sh", "-c", SAYS, "words", str(code))
    assert (seen.status, seen.reason.code) == (status, reason)
    assert seen.reason.message == ("" if code == 0 else "PING words - all of it")
    assert seen.facts == {
        "exit_code": code,
        "output": "PING words - all of it",
        "details": "more",
        "perfdata": {
            "rta": {"value": 0.0045, "unit": "seconds", "warn": "100", "crit": "500", "min": 0.0, "max": 2.0},
            "packet loss": {"value": 20.0, "unit": "percent"},
            "size": {"value": 3072.0, "unit": "bytes"},
        },
    }


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("exit 9", Code.CRASH, "expected the program to exit with 0-3, got exit code 9: it printed nothing"),
        ("echo oh no >&2; exit 9", Code.CRASH, "expected the program to exit with 0-3, got exit code 9: oh no"),
        (
            "kill -SEGV $$",
            Code.CRASH,
            "expected the program to exit with 0-3, got an end by SIGSEGV: it printed nothing",
        ),
    ],
)
async def test_any_other_end_is_a_crash(look: Any, command: str, code: Code, message: str) -> None:
    seen = await look("sh", "-c", command)
    assert (seen.status, seen.reason.code, seen.reason.message) == (Status.UNKNOWN, code, message)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("no-such-program", "No such file or directory"),
        ("/etc/passwd", "Permission denied"),
        (__file__, "Permission denied"),
    ],
)
async def test_what_cannot_be_started_is_not_down(look: Any, program: str, message: str) -> None:
    seen = await look(program)
    assert (seen.status, seen.reason.code) == (Status.UNKNOWN, Code.INTERNAL)
    assert seen.reason.message.startswith("expected a program that can be started, got ")
    assert seen.reason.message.endswith(message)


async def test_a_directory_that_is_not_there_is_told_from_a_program(look: Any, tmp_path: Path) -> None:
    seen = await look("true", directory=tmp_path / "gone")
    assert (seen.status, seen.reason.code) == (Status.UNKNOWN, Code.INTERNAL)
    assert seen.reason.message == (
        'expected a program that can be started, got "true": its directory: No such file or directory'
    )


async def test_an_expectation_on_the_exit_code_replaces_the_verdict(look: Any) -> None:
    assert (await look("sh", "-c", "exit 2", expect=["exit_code == 2"])).status is Status.UP
    assert (await look("sh", "-c", "exit 0", expect=["exit_code == 2"])).status is Status.DOWN


async def test_numbers_are_for_expressions_and_metrics(look: Any) -> None:
    settings: dict[str, Any] = {
        "degraded": ["perfdata.rta.value < 0.001"],
        "expect": ["perfdata['packet loss'].value < 50.0"],
    }
    seen = await look("sh", "-c", SAYS, "x", "0", **settings)
    assert (seen.status, seen.reason.message) == (
        Status.DEGRADED,
        "expected perfdata.rta.value < 0.001, got perfdata.rta.value = 0.0045",
    )
    watched = endpoint(Exec(command=("x",)), name="it")
    samples = {
        (sample.labels["label"], sample.labels["unit"]): sample.value
        for family in of_observations([(watched, seen)])
        for sample in family.samples
        if sample.name == "probe_exec_perfdata"
    }
    assert samples == {("rta", "seconds"): 0.0045, ("packet loss", "percent"): 20.0, ("size", "bytes"): 3072.0}


async def test_it_sees_little_of_our_environment(look: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALERT_WEBHOOK_SECRET", "hunter2hunter2")
    seen = await look("sh", "-c", "env | grep -v ^PATH= | tr '\\n' ' '", env={"OWN": "yes"})
    assert "OWN=yes" in seen.facts["output"]
    assert "hunter2" not in seen.facts["output"]


async def test_it_works_where_it_is_told_to_with_an_empty_input(look: Any, tmp_path: Path) -> None:
    (tmp_path / "here.sh").write_text("#!/bin/sh\ncat; pwd\n")
    (tmp_path / "here.sh").chmod(0o755)
    seen = await look("./here.sh", directory=tmp_path)
    assert seen.facts["output"] == str(tmp_path)


async def test_it_is_given_nothing_that_is_open(look: Any) -> None:
    seen = await look(*script("import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))"))
    assert seen.facts["output"] == "[0, 1, 2, 3]"  # the last is the listing's own


LEAVES_DAEMONS = """
    import os, sys, time
    def daemon(depth):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                print(os.getpid(), flush=True)
                for number in (0, 1, 2):
                    os.close(number)
                if depth:
                    daemon(depth - 1)
                time.sleep(1000)
            os._exit(0)
        os.wait()
    daemon(2)
    time.sleep(0.3)
    """


async def test_all_that_it_started_ends_with_it(look: Any) -> None:
    seen = await look(*script(LEAVES_DAEMONS), timeout=20)
    assert seen.status is Status.UP
    pids = [int(each) for each in (seen.facts["output"], *seen.facts["details"].split())]
    assert pids
    assert not any(map(alive, pids))  # not even as zombies


async def test_a_deadline_ends_it_with_all_that_it_started(look: Any, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    text = f"""
        import os, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with open({str(pids)!r}, "a") as file:
            for _ in range(3):
                if os.fork() == 0:
                    os.setsid()
                    if os.fork():
                        os._exit(0)
                print(os.getpid(), file=file, flush=True)
        time.sleep(1000)
        """
    for _ in range(5):
        seen = await look(*script(text), timeout=2.0)
        if "held up" not in seen.reason.message:  # else the machine was so busy that the monitor could not tell
            break
    assert (seen.status, seen.reason.code) == (Status.DOWN, Code.TIMEOUT)
    assert seen.reason.message == "no answer within 2 s (during processing)"
    found = set(map(int, pids.read_text().split()))
    assert len(found) > 3
    await until_gone(found)


async def test_a_flood_is_cut(look: Any) -> None:
    seen = await look("sh", "-c", "yes flood | head -c 3000000; echo; yes oops | head -c 3000000 >&2; exit 1")
    assert (seen.status, seen.reason.message) == (Status.DEGRADED, "flood")


async def test_who_takes_too_much_memory_is_ended(look: Any, processes: Processes) -> None:
    processes.memory = 64 * 1024**2
    # Each has less than one may have; the sum is what counts.
    text = """
        import os, time
        for _ in range(6):
            if os.fork() == 0:
                break
        kept = bytearray(os.urandom(1) * 30_000_000)
        time.sleep(1000)
        """
    seen = await look(*script(text), timeout=30)
    assert (seen.status, seen.reason.code) == (Status.UNKNOWN, Code.CRASH)
    assert seen.reason.message == "the program used more than 64 MiB of memory"


async def test_a_hundred_at_once_and_a_zygote_that_somebody_killed(look: Any, processes: Processes) -> None:
    async with trio.open_nursery() as nursery:
        seen: list[Observation] = []

        async def one() -> None:
            seen.append(await look("true", timeout=30))

        for _ in range(30):
            nursery.start_soon(one)
    assert {each.status for each in seen} == {Status.UP}
    zygote = processes._zygote
    assert zygote is not None
    zygote.kill()
    zygote.wait()
    assert (await look("true", timeout=30)).status is Status.UP


async def test_nothing_stays_when_the_monitor_goes(tmp_path: Path) -> None:
    async with Processes() as brief, trio.open_nursery() as nursery:
        written = tmp_path / "pid"
        check = Exec(command=("sh", "-c", f"echo $$ > {written}.part; mv {written}.part {written}; sleep 1000"))
        watched = endpoint(check, timeout=1000)
        nursery.start_soon(lambda: probe_once(watched, net=SocketNet(), clock=SystemClock(), mask=None, programs=brief))
        with trio.fail_after(20):
            while not written.exists():
                await trio.sleep(0.02)
        nursery.cancel_scope.cancel()
    await until_gone([int(written.read_text())])


def test_the_kit_runs_no_programs() -> None:
    asked = []

    def programs(command: Sequence[str]) -> Ran:
        asked.append(command)
        return Ran(code=2, out=b"no space|free=0B")

    seen = kit.look(Exec(command=("check_disk", "-w", "1")), programs=programs, expect=["perfdata.free.value >= 0.0"])
    assert (seen.status, seen.reason.message) == (Status.DOWN, "no space")
    assert asked == [("check_disk", "-w", "1")]
    assert kit.look(Exec(command=("true",))).reason.message.endswith("this probe cannot run programs")


@needs_plugins
async def test_the_real_plugins(look: Any, nursery: trio.Nursery) -> None:
    async def greets(stream: trio.SocketStream) -> None:
        await stream.send_all(b"220 ready\r\n")
        await stream.receive_some()

    port = str(await serve(nursery, greets))

    async def verdict(name: str, *arguments: str, **settings: Any) -> tuple[str, Observation]:
        seen = await look(str(PLUGINS / name), *arguments, **{"timeout": 20} | settings)
        return str(seen.status), seen

    for code, status in enumerate(("up", "degraded", "down", "unknown")):
        got, seen = await verdict("check_dummy", str(code), "as told")
        assert got == status
        assert seen.facts["output"].endswith(": as told")

    got, seen = await verdict("check_tcp", "-H", "127.0.0.1", "-p", port, "-e", "220")
    assert got == "up", seen
    assert seen.facts["perfdata"]["time"]["unit"] == "seconds"
    assert seen.facts["perfdata"]["time"]["max"] == 10.0
    got, seen = await verdict("check_tcp", "-H", "127.0.0.1", "-p", "1")
    assert (got, seen.reason.code) == ("down", Code.EXPECTATION)
    assert "refused" in seen.reason.message

    got, seen = await verdict("check_disk", "-w", "1", "-c", "1", "-p", "/", expect=["perfdata['/'].max > 1e6"])
    assert got == "up", seen
    got, seen = await verdict("check_procs", "-w", "0:0")
    assert got == "degraded"
    assert seen.reason.message.startswith("PROCS WARNING")
    got, seen = await verdict("check_load")
    assert (got, seen.reason.code) == ("unknown", Code.INTERNAL)


@pytest.mark.parametrize(
    ("text", "message", "numbers"),
    [
        ("", "", {}),
        ("\n\n", "", {}),
        ("OK", "OK", {}),
        ("OK|", "OK", {}),
        ("OK | a=1 b=2c", "OK", {"a": (1.0, ""), "b": (2.0, "count")}),
        ("OK|'it''s'=1.5us", "OK", {"it's": (1.5e-6, "seconds")}),
        ("OK|a=1,5s", "OK", {"a": (1.5, "seconds")}),
        ("OK|a=-1e3 b=.5%", "OK", {"a": (-1000.0, ""), "b": (0.5, "percent")}),
        ("OK|a=U b=;; c= =3 d", "OK", {}),
        ("OK|a=1furlong", "OK", {"a": (1.0, "furlong")}),
        ("OK|a=1\nmore\nlines|b=2MB\nc=3", "OK", {"a": (1.0, ""), "b": (2 * 1024.0**2, "bytes"), "c": (3.0, "")}),
        ("OK|" + " ".join(f"l{number}=1" for number in range(99)), "OK", 50),
    ],
)
def test_perfdata(text: str, message: str, numbers: Any) -> None:
    printed = perfdata.read(text)
    assert printed.message == message
    found = {label: (item["value"], item["unit"]) for label, item in printed.perfdata.items()}
    assert (len(found) if isinstance(numbers, int) else found) == numbers
