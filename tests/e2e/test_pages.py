"""What docs/plugins.md and docs/sinks.md say of tests and of alerts is true."""

from __future__ import annotations

import json
import re
import sys
from datetime import datetime, timedelta
from pathlib import Path

import trio
from support.ports import EPOCH, PlainRand
from support.probes import endpoint

from checks.http import Http
from monitor.core.alerting import NOTHING, Situation, described, review
from monitor.core.health import Change, Health, Streak
from monitor.core.model import Reason, State
from monitor.core.own_trouble import News, Trouble, alert

DOCS = Path(__file__).parents[2] / "docs"


def snippets(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)


async def test_the_tests_of_the_plugin_page_pass(tmp_path: Path) -> None:
    for text in snippets("plugins.md", "python"):
        (tmp_path / text.partition("\n")[0].removeprefix("# ")).write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    with trio.fail_after(60):
        done = await trio.run_process(command, cwd=tmp_path, capture_stdout=True, check=False)
    assert (done.returncode, b"5 passed" in done.stdout) == (0, True), done.stdout.decode()


def keys(value: object) -> object:
    return {name: keys(each) for name, each in value.items()} if isinstance(value, dict) else None


def test_the_alert_of_the_page_of_sinks_has_the_keys_of_a_real_one() -> None:
    shown = json.loads(snippets("sinks.md", "json")[0])
    watched = endpoint(
        Http(url="https://shop.example.org/health"), name="shop", labels={"team": "shop"}, sinks=("ops",)
    )
    reason = Reason.from_json(shown["data"]["reason"])
    streak = Streak(1, EPOCH, reason)
    situation = Situation(
        endpoint=watched,
        described=described(watched, None),
        routes={},
        health=Health(state=State.DOWN, as_bad_as_degraded=streak, as_bad_as_down=streak, counted_at=EPOCH),
        reason=reason,
        fresh=True,
        since=EPOCH,
        incident=None,
        sequence=40,
        alerting=NOTHING,
        now=EPOCH,
        rand=PlainRand(),
    )
    (fired,) = review(situation, Change(State.UP, State.DOWN, streak)).alerts
    made = json.loads(fired.body)
    assert keys(shown) == keys(made)
    assert shown["type"] == made["type"]
    assert [shown["data"][each] for each in ("sequence", "from", "to", "reason", "suppressed")] == [
        made["data"][each] for each in ("sequence", "from", "to", "reason", "suppressed")
    ]


def test_the_alert_about_the_monitor_itself_is_that_of_a_real_one() -> None:
    shown = json.loads(snippets("sinks.md", "json")[1])
    (standing,) = shown["data"]["standing"]
    since = datetime.fromisoformat(standing["since"])
    trouble = Trouble(key=f"endpoint:{standing['endpoint']}", message=standing["message"], since=since, began=0)
    said = News(standing=(trouble,), over=())
    made = json.loads(alert(said, sinks=("ops",), now=EPOCH + timedelta(seconds=40), rand=PlainRand()).body)
    made["data"]["id"] = shown["data"]["id"]
    assert made == shown
