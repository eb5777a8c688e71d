"""`check_contract`: every built-in check keeps it, and a check that breaks a rule is told which, in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import bad_checks
import pytest
from bad_checks import Good

from monitor.plugins import OURS, Registry
from monitor.testing import ContractError, answers, check_contract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import trio

    from monitor.api import Check

QUICK = 0.1  # seconds; a deadline

BY_CLASS = {
    "NoAttrs": ["NoAttrs is no attrs class: put @attrs.frozen(kw_only=True) above it"],
    "NoProbe": ["it has no method probe"],
    "NotAsync": ["its probe is not `async def`"],
    "NoDocstring": ["the class has no docstring: `monitor checks` shows its first line"],
    "Undocumented": ["the option most is not documented: declare it by check_option(doc=…)"],
    "Unfillable": ["Unfillable.words has a type that no config can fill: set[str]"],
    "Unmentionable": [
        "Unmentionable.facts: the fact 'the line' has a name that no expression can mention: use letters, digits and _"
    ],
    "Unequal": ["two with the same options are not equal: each reload of the config would begin it anew"],
    "NotFrozen": ["it is not frozen: put @attrs.frozen(kw_only=True) above it"],
    "NoTarget": ["its target is not a text that says what is looked at, but ''"],
    "BadTarget": ["its target raises LookupError: which?"],
}
AT = "at bad_checks.py:"
BY_PROBE = {
    "Telltale": ["the option password is a secret, and stands in its target"],
    "Blocks": [f"with nobody at its port: it blocks the event loop, {AT}", "await it, or use probe.in_thread"],
    "Dawdles": [f"with a server that hangs up: it blocks the event loop, {AT}", "await it, or use probe.in_thread"],
    "Clings": ["with nobody at its port: it holds on after its deadline, ", "let trio.Cancelled pass"],
    "Swallows": ["when it is cancelled: it answers all the same: let trio.Cancelled pass"],
    "Replaces": ["when it is cancelled: it raises RuntimeError: it went wrong: let trio.Cancelled pass"],
    "LeavesTask": ["it leaves the task poller running"],
    "LeavesNursery": ["with nobody at its port: it leaves open what it opened: "],
    "LeavesThread": ["it leaves the thread listener running"],
    "LeavesDescriptor": ["it leaves open the descriptor ", "/dev/null"],
    "LeavesToCollector": ["it leaves it to the garbage collector to close what it opened: unclosed file"],
    "LeavesCall": ["a call in a thread goes on after the deadline: have it end within probe.time_left()"],
    "Crashes": [
        "with a server that talks rubbish: ValueError: ",
        "(bad_checks.py:",
        "answer with a Verdict in its place",
    ],
    "NoVerdict": ["expected the check to answer with a Verdict, got bool"],
    "SaysNothing": ["with a server that hangs up: it answers down without a message"],
    "Undeclared": ["it sets the fact size, which facts does not declare"],
    "OfAnotherType": ["the fact line is declared by the sample '220 ready', and was b'220 ready'"],
    "NoJSON": ["the fact line is or holds a set, which no JSON has: {'220'}"],
}


@pytest.fixture(scope="module", autouse=True)
def end() -> Iterator[None]:
    """What blocks and hangs ends with the tests."""
    yield
    bad_checks.UNTIL_THE_END.set()
    while bad_checks.kept:
        if hasattr(left := bad_checks.kept.pop(), "close"):
            left.close()


def at(port: int) -> dict[str, Any]:
    return {"port": port}


async def greets(stream: trio.abc.Stream) -> None:
    await stream.send_all(b"220 ready\r\n")


def test_a_good_one_keeps_it() -> None:
    check_contract(Good, at, greets, timeout=QUICK)


@pytest.mark.parametrize(("name", "sentence"), (BY_CLASS | BY_PROBE).items(), ids=BY_CLASS | BY_PROBE)
def test_a_bad_one_is_told_what_is_wrong(name: str, sentence: list[str]) -> None:
    with pytest.raises(ContractError) as told:
        check_contract(getattr(bad_checks, name), at, timeout=QUICK)
    assert str(told.value).startswith(f"{name} breaks the contract of checks:\n- ")
    assert any(all(part in each for part in sentence) for each in told.value.broken), str(told.value)


def test_every_rule_has_its_bad_check() -> None:
    classes = {name for name, value in vars(bad_checks).items() if isinstance(value, type) and issubclass(value, Good)}
    assert classes - {"Good"} <= BY_CLASS.keys() | BY_PROBE.keys()


def test_the_server_given_must_do() -> None:
    async def refuses(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"554 no")

    with pytest.raises(ContractError) as told:
        check_contract(Good, at, refuses, timeout=QUICK)
    assert told.value.broken == (
        "with the server that was given: expected it to be up, got down: expected \"220 \", got '554 no'",
    )


def test_options_that_do_not_fit_are_told() -> None:
    with pytest.raises(ContractError, match='given: port: expected a whole number, got "x"'):
        check_contract(Good, {"port": "x"})


BUILT_IN: dict[str, dict[str, Any] | Callable[[int], dict[str, Any]]] = {
    "http": lambda port: {
        "url": f"http://127.0.0.1:{port}/",
        "auth": {"basic": {"username": "me", "password": "hunter22"}},
    },
    "websocket": lambda port: {"url": f"ws://127.0.0.1:{port}/"},
    "tcp": lambda port: {"url": f"tcp://127.0.0.1:{port}", "steps": [{"expect": "text != ''"}]},
    "tls": lambda port: {"url": f"tls://127.0.0.1:{port}"},
    "dns": lambda port: {"url": f"dns://127.0.0.1:{port}/example.org"},
    "udp": lambda port: {"url": f"udp://127.0.0.1:{port}", "send": "?"},
    "grpc": lambda port: {"url": f"grpc://127.0.0.1:{port}"},
    "file": {"url": Path(__file__).as_uri()},
    "icmp": {"url": "icmp://192.0.2.1"},
    "exec": {"command": ["sleep", "60"]},
    "heartbeat": {"token": "the-token-of-the-backup"},
}


@pytest.mark.parametrize("kind", sorted(kind for kind, plugin in Registry().checks.items() if plugin.origin == OURS))
def test_every_built_in_check_keeps_it(kind: str) -> None:
    cls: type[Check] = Registry().checks[kind].cls
    check_contract(cls, BUILT_IN[kind], answers(200, b"ok") if kind == "http" else None, timeout=QUICK)
