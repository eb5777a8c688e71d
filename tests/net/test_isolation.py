"""`isolation = "process"`: the same probe in another process. What misbehaves there is in tests/torture."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
from support.below import alive, until_gone
from support.probes import answers, endpoint, http, serve

from monitor.api import Check
from monitor.config.load import load
from monitor.core.model import Code, Endpoint, Observation, Status
from monitor.isolation import wire
from monitor.isolation.wire import WireError
from monitor.isolation.workers import Workers
from monitor.net.sockets import SocketNet
from monitor.probing import probe_once
from monitor.processes.tree import below
from monitor.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from monitor.core.ports import Mask

LOCAL = '''
import os, pathlib, time
import attrs, trio
from monitor.api import Check, Duration, Fact, Probe, Verdict, check_option

@attrs.frozen(kw_only=True)
class Part:
    within: Duration = Duration(1)

@attrs.frozen(kw_only=True)
class Looks(Check):
    """Looks at its own process."""

    facts = {"pid": Fact(1, "of its process"), "seen": Fact("x", "what it saw"), "within": Fact(1.0, "its option")}

    password: str = check_option(default="", doc="a secret")
    look_at: str = check_option(default="", doc="a file to read")
    parts: list[Part] = check_option(factory=list, doc="options of its own making")
    waits: Duration | None = check_option(default=None, doc="how long it takes")
    blocks: Duration | None = check_option(default=None, doc="how long it stands still")

    async def probe(self, probe: Probe) -> Verdict:
        probe.phase("processing")
        probe.facts["pid"] = os.getpid()
        if self.look_at:
            read = pathlib.Path(self.look_at).read_bytes().replace(b"\\0", b" ").decode()
            probe.facts["seen"] = f"{read} {self.password}"
        for part in self.parts:
            probe.facts["within"] = float(part.within)
        if self.blocks:
            time.sleep(self.blocks)
        if self.waits:
            await trio.sleep(self.waits)
        return Verdict.down(f"expected much, got {self.password}") if self.password else Verdict.up()
'''


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    async with Workers(patience=60.0) as opened:
        yield opened


@pytest.fixture
def configured(tmp_path: Path) -> Callable[..., tuple[Endpoint, Mask | None]]:
    """An isolated endpoint `it` of the local check, and the mask of its config."""

    def configured(options: str = "", **environ: str) -> tuple[Endpoint, Mask | None]:
        (tmp_path / "looks.py").write_text(LOCAL)
        text = '[plugins.checks]\nlooks = "looks.py:Looks"\n[[endpoint]]\nname = "it"\nisolation = "process"\n'
        own = options.partition("[[")[0]
        kind = "" if "url =" in own or "check =" in own else 'check = "looks"\n'
        (tmp_path / "config.toml").write_text(text + kind + options)
        config = load(tmp_path / "config.toml", environ=environ)
        return config.endpoints[0], config.masker or None

    return configured


async def look(workers: Workers, watched: Endpoint, mask: Mask | None = None) -> Observation:
    return await probe_once(watched, net=SocketNet(), clock=SystemClock(), mask=mask, workers=workers)


async def could_tell(workers: Workers, watched: Endpoint) -> Observation:
    """Look until the machine is not so busy that the monitor says that it could not tell."""
    for _ in range(20):
        seen = await look(workers, watched)
        if "the monitor was held up" not in seen.reason.message:
            break
    return seen


async def test_a_local_check_runs_in_a_process_that_stays_warm(workers: Workers, configured: Any) -> None:
    watched, _ = configured('parts = [{ within = "3s" }]\nexpect = ["pid > 1", "within == 3.0"]')
    first, second = await look(workers, watched), await look(workers, watched)
    assert first.status is second.status is Status.UP
    assert first.facts["pid"] == second.facts["pid"] != os.getpid()
    assert list(first.phases) == ["processing"]
    assert 0 <= first.duration < 60


async def test_another_config_has_another_worker(workers: Workers, configured: Any) -> None:
    before, _ = configured()
    pid = (await look(workers, before)).facts["pid"]
    after, _ = configured('parts = [{ within = "7s" }]')
    seen = await look(workers, after)
    assert seen.facts["within"] == 7.0
    assert seen.facts["pid"] != pid
    await until_gone([pid])
    workers.keep_only(())
    await until_gone([seen.facts["pid"]])


async def test_a_built_in_check_is_probed_there_as_everywhere(
    workers: Workers, configured: Any, nursery: trio.Nursery
) -> None:
    port = await serve(nursery, answers(http(200, b'{"db": "ok"}')))
    options = f'url = "http://127.0.0.1:{port}/"\nexpect = ["json.db == \'ok\'"]\ndegraded = ["status == 201"]'
    watched, _ = configured(options)
    seen = await look(workers, watched)
    assert (seen.status, seen.reason.message) == (Status.DEGRADED, "expected status == 201, got status = 200")
    assert seen.facts["ip"] == "127.0.0.1"
    assert "json" not in seen.facts
    assert {"connect", "processing"} <= seen.phases.keys()
    refused = attrs.evolve(watched, check=attrs.evolve(watched.check, url="http://127.0.0.1:1/"))
    assert (await look(workers, refused)).reason.code is Code.CONNECT


async def test_a_program_can_be_run_from_there(workers: Workers, configured: Any) -> None:
    watched, _ = configured('check = "exec"\ncommand = ["sh", "-c", "echo well; exit 1"]\ntimeout = "60s"')
    seen = await look(workers, watched)
    assert (seen.status, seen.reason.message) == (Status.DEGRADED, "well")


async def test_facts_and_phases_survive_a_time_out(workers: Workers, configured: Any) -> None:
    watched, _ = configured('waits = "1000s"\ntimeout = "500ms"')
    seen = await could_tell(workers, watched)
    assert (seen.status, seen.reason.code, seen.reason.phase) == (Status.DOWN, Code.TIMEOUT, "processing")
    assert seen.reason.message == "no answer within 500 ms (during processing)"
    if seen.facts:  # not where the machine was too busy to hear of them in time
        await until_gone([seen.facts["pid"]])


async def test_who_blocks_is_ended_and_says_what_it_did(workers: Workers, configured: Any) -> None:
    watched, _ = configured('blocks = "1000s"\ntimeout = "500ms"')
    before = below(os.getpid())
    seen = await could_tell(workers, watched)
    assert (seen.status, seen.reason.code) == (Status.DOWN, Code.TIMEOUT)
    assert seen.reason.message == "no answer within 500 ms (during processing)"
    zygote = workers._processes._zygote
    assert zygote is not None
    await until_gone(below(os.getpid()).keys() - before.keys() - {zygote.pid})


async def test_what_should_fail_may_overrun(workers: Workers, configured: Any) -> None:
    watched, _ = configured('blocks = "1000s"\ntimeout = "500ms"\ninvert = true')
    assert (await could_tell(workers, watched)).status is Status.UP
    fine, _ = configured("invert = true")
    assert (await look(workers, fine)).reason.message == "expected it to fail (invert), it is up"


async def test_time_that_a_check_blocks_is_its_own(workers: Workers, configured: Any) -> None:
    watched, _ = configured('blocks = "300ms"\nexpect = ["latency < duration(\'100ms\')"]')
    seen = await could_tell(workers, watched)
    assert (seen.status, seen.reason.code) == (Status.DOWN, Code.EXPECTATION)


@pytest.mark.parametrize("file", ["environ", "cmdline"])
async def test_secrets_of_others_are_not_there(
    workers: Workers, configured: Any, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    monkeypatch.setenv("CANARY", "canary-of-somebody-else")
    secrets = {"OWN": "own-secret-of-this", "CANARY": "canary-of-somebody-else"}
    other = '\n[[endpoint]]\nname = "other"\nurl = "http://127.0.0.1/"\nauth = { bearer = "${CANARY}" }'
    watched, mask = configured(f'password = "${{OWN}}"\nlook_at = "/proc/self/{file}"{other}', **secrets)
    naked = await look(workers, watched, None)
    assert "own-secret-of-this" in naked.facts["seen"]
    assert "canary" not in naked.facts["seen"]
    assert "own-secret" not in naked.facts["seen"].removesuffix(" own-secret-of-this")

    seen = await look(workers, watched, mask)
    assert seen.reason.message == "expected much, got ***"
    assert "secret" not in str(seen.facts["seen"])


async def test_its_memory_knows_no_secret_of_others(workers: Workers, configured: Any) -> None:
    """Also what is left of earlier workers: all of them are forks of one process."""
    first, mask = configured('password = "${CANARY}"', CANARY="canary-of-somebody-else")
    await look(workers, first, mask)
    second, mask = configured('password = "${OWN}"', OWN="own-secret-of-this")
    second = attrs.evolve(second, name="second")
    pid = (await look(workers, second, mask)).facts["pid"]
    found = [each for each in (b"canary-of-somebody-else", b"own-secret-of-this") if in_memory(pid, each)]
    assert found == [b"own-secret-of-this"]


def in_memory(pid: int, needle: bytes) -> bool:
    """Is *needle* in what the process *pid* can write to?"""
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            where, rights, *_ = line.split()
            begin, end = (int(each, 16) for each in where.split("-"))
            if "rw" in rights:
                try:
                    memory.seek(begin)
                    if needle in memory.read(end - begin):
                        return True
                except (OSError, OverflowError, ValueError):
                    continue
    return False


async def test_who_cannot_start_is_not_started_again_and_again(
    workers: Workers, configured: Any, tmp_path: Path
) -> None:
    watched, _ = configured()
    (tmp_path / "looks.py").write_text("raise RuntimeError('not here')")
    said = [(await look(workers, watched)).reason for _ in range(3)]
    assert {each.code for each in said} == {Code.CRASH}
    assert said[0].message.startswith("the check cannot be made in its worker: PluginError: running ")
    assert said[0].message.endswith("RuntimeError: not here")
    assert said[2].message.startswith("its worker failed to start 2 times; tried again in ")


@attrs.frozen(kw_only=True)
class Stuck(Check):
    """Holds what cannot travel."""

    lock: Any = attrs.field(factory=threading.Lock)
    target = "here"


async def test_a_check_that_cannot_travel_is_told(workers: Workers) -> None:
    seen = await look(workers, endpoint(Stuck(), isolated=True))
    assert (seen.status, seen.reason.code) == (Status.UNKNOWN, Code.CRASH)
    assert seen.reason.message.startswith("the check cannot be given to a worker: TypeError: cannot pickle")


async def test_a_worker_that_died_between_two_probes_is_replaced(workers: Workers, configured: Any) -> None:
    watched, _ = configured()
    pid = (await look(workers, watched)).facts["pid"]
    os.kill(pid, signal.SIGKILL)
    await until_gone([pid])
    assert (await look(workers, watched)).status is Status.UP
    zygote = workers._processes._zygote
    assert zygote is not None
    zygote.kill()
    zygote.wait()
    assert (await look(workers, watched)).status is Status.UP  # it is below its keeper, which lives
    assert (await look(workers, attrs.evolve(watched, name="new"))).status is Status.UP


async def test_a_keeper_that_somebody_killed_holds_up_no_start(workers: Workers, configured: Any) -> None:
    watched, _ = configured()
    pids = [(await look(workers, attrs.evolve(watched, name=name))).facts["pid"] for name in "ab"]
    os.kill(int(Path(f"/proc/{pids[0]}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)
    await trio.sleep(0.2)  # the zygote has noticed, as a rule
    workers._patience = 4.0  # seconds; less than it may take to end what was left behind
    assert (await look(workers, attrs.evolve(watched, name="c"))).status is Status.UP
    await until_gone(pids[:1])


async def test_a_probe_that_is_cancelled_leaves_nothing(workers: Workers, configured: Any) -> None:
    watched, _ = configured('waits = "1000s"\ntimeout = "1000s"')
    assert (await look(workers, attrs.evolve(watched, timeout=0.1))).reason.code is Code.TIMEOUT
    before = below(os.getpid()).keys()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(look, workers, watched)
        with trio.fail_after(30):
            while len(new := below(os.getpid()).keys() - before) < 2:
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    await until_gone(new)


async def test_so_many_stay_warm_and_no_more(
    workers: Workers, configured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.isolation.workers.MOST_IDLE", 2)
    watched, _ = configured()
    pids = [(await look(workers, attrs.evolve(watched, name=name))).facts["pid"] for name in "abc"]
    await until_gone(pids[:1])
    assert all(map(alive, pids[1:]))


GOOD: dict[str, Any] = {
    "status": "up",
    "reason": {"code": "ok", "phase": None, "message": ""},
    "duration": 0.1,
    "phases": {"connect": 0.1},
    "facts": {"a": [1]},
}


@pytest.mark.parametrize(
    "change",
    [
        {"status": "fine"},
        {"status": None},
        {"reason": {"code": "ok", "message": ""}},
        {"reason": {"code": "late", "phase": None, "message": ""}},
        {"reason": {"code": "ok", "phase": 1, "message": ""}},
        {"reason": {"code": "ok", "phase": None, "message": "x" * 2000}},
        {"duration": -1},
        {"duration": True},
        {"duration": "1"},
        {"phases": {"connect": None}},
        {"phases": {str(number): 1 for number in range(1000)}},
        {"phases": []},
        {"facts": []},
    ],
)
def test_what_comes_back_is_held_against_what_it_must_be(change: dict[str, Any]) -> None:
    now = SystemClock().wall()
    assert wire.observation(GOOD, "it", now).status is Status.UP
    with pytest.raises(WireError):
        wire.observation(GOOD | change, "it", now)


@pytest.mark.parametrize("frame", [b"", b"{", b"[]", b"\xff", b'{"a": NaN}', b"[" * 100_000])
def test_what_is_no_message_is_refused(frame: bytes) -> None:
    with pytest.raises(WireError):
        wire.said(frame)
