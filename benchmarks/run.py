"""Every benchmark side by side: `python -m benchmarks.run [PART…]`; `make bench` for the usual parts.

Prints tables, merges the figures into `results.json` and renders `RESULTS.md` from it. Exits 1 when a figure is not
what it must be.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import daemon, machine, probe, report, soak, startup
from benchmarks.harness import BadAnswer, Row, alternate, pinned, prober_core, program, said
from benchmarks.servers import NGINX, servers

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.servers import Servers

    Part = Callable[[Servers, int], dict[str, Any]]

RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).with_name("RESULTS.md")
_COUNTS = {"http": 2000, "https": 600, "ws": 800}  # probes of one round
_PROFILED = {"http": 15000, "https": 3000, "ws": 4000}
_ENDPOINTS = 1000
_STEPS = (1500, 1750, 2000, 2500, 3000)


def say(text: str) -> None:
    """Tell whoever waits what is going on."""
    print(f"  {text}", file=sys.stderr, flush=True)


def probes(found: Servers, rounds: int) -> dict[str, Any]:
    """One probe, beside the limit and the peers."""
    medians, skipped, profiles = {}, [], {}
    with tempfile.TemporaryDirectory() as name:
        limit = probe.build_limit(Path(name))
        for scheme, count in _COUNTS.items():
            rows = probe.rows(scheme, found, limit, count)
            say(f"{scheme}:")
            medians[scheme] = alternate(rows, rounds, say=say)
            skipped += [f"{row.name} {row.missing}" for row in rows if row.missing]
    for scheme, count in _PROFILED.items():
        say(f"{scheme}: where the time goes")
        url = found.urls[scheme]
        profiles[scheme] = said(program("layers", url, "--ca-file", found.ca_file, "--count", count, "--json"))
    figures = {
        f"{scheme} / {name}": measured[probe.OURS] / value
        for scheme, measured in medians.items()
        for name, value in measured.items()
        if name != probe.OURS
    }
    return {"figures": figures, "medians": medians, "skipped": sorted(set(skipped)), "profiles": profiles}


def whole_daemon(found: Servers, rounds: int) -> dict[str, Any]:
    """The daemon at a thousand probes a second, and at as many as it can."""
    url = found.urls["http"]
    paced = probe.aiohttp(found, count=8 * _ENDPOINTS, rate=_ENDPOINTS)
    rows = [
        Row("daemon", lambda: daemon.cpu_per_probe(url, endpoints=_ENDPOINTS, seconds=10)),
        Row("aiohttp", probe.aiohttp(found, count=_COUNTS["http"]).run),
        Row("aiohttp, paced", paced.run),
    ]
    medians = alternate(rows, min(rounds, 3), say=say)
    say("lateness at 1,000 probes a second")
    seen = daemon.inside(url, endpoints=_ENDPOINTS, interval=1, warm_up=daemon.SETTLING, seconds=30)
    say("most probes per second")
    most, _ = daemon.most_probes(url, steps=_STEPS, seconds=8)
    say("where the time goes")
    profile = daemon.profile(url, endpoints=_ENDPOINTS, seconds=15)
    figures = {
        "cpu": medians["daemon"],
        "cpu / aiohttp": medians["daemon"] / medians["aiohttp"],
        "cpu / aiohttp, paced": medians["daemon"] / medians["aiohttp, paced"],
        "most": most,
        **_lateness(seen),
    }
    return {"figures": figures, "medians": medians, "profiles": {"the daemon": profile}}


def memory(found: Servers, _: int) -> dict[str, Any]:
    """Resident memory, with a thousand endpoints and for each further one."""
    url, more = found.urls["http"], 10_000
    say("1,000 endpoints")
    few = daemon.resident(url, endpoints=1000)
    say("11,000 endpoints")
    many = daemon.resident(url, endpoints=1000 + more)
    return {"figures": {"resident": few, "each further": (many - few) * 1024 / more}}


def starting(_: Servers, rounds: int) -> dict[str, Any]:
    """CPU seconds of commands that start cold."""
    say("cold commands")
    with pinned(prober_core()):
        return {"figures": startup.measure(max(rounds, 5))}


def endurance(found: Servers, _: int) -> dict[str, Any]:
    """Ten minutes at a thousand probes a second."""
    say("1,000 probes a second for ten minutes")
    seen = daemon.inside(found.urls["http"], endpoints=_ENDPOINTS, interval=1, warm_up=daemon.SETTLING, seconds=600)
    return {"figures": {"drift": seen.drift * 1000} | _lateness(seen)}


def scale(found: Servers, _: int) -> dict[str, Any]:
    """50,000 and 100,000 endpoints every minute."""
    url, figures = found.urls["http"], {}
    for endpoints, prefix in ((50_000, ""), (100_000, "100,000: ")):
        say(f"{endpoints:,} endpoints every minute")
        seen = daemon.inside(url, endpoints=endpoints, interval=60, warm_up=90, seconds=120)
        first = {"first probes: late p99": seen.first_p99 * 1000, "first probes: late max": seen.first_max * 1000}
        more = _lateness(seen) | first | {"ready": seen.ready, "stop": seen.stop, "not up": seen.not_up}
        figures |= {f"{prefix}{key}": value for key, value in more.items()}
    return {"figures": figures}


def soaked(found: Servers, _: int) -> dict[str, Any]:
    """P15."""
    say(f"{soak.PROBES:,} probes; some minutes")
    seen = soak.run(found)
    figures = {"probes": seen.pop("probes")}
    for what, values in seen.items():
        figures |= {f"{what} {when}": value for when, value in values.items()}
    return {"figures": figures}


def _lateness(seen: daemon.Inside) -> dict[str, float]:
    """How late the probes began, in milliseconds, and how many did not begin at all."""
    late = {"p50": seen.lag_p50, "p99": seen.lag_p99, "max": seen.lag_max}
    return {f"late {key}": value * 1000 for key, value in late.items()} | {"ticks missed": seen.missed}


PARTS: dict[str, Part] = {
    "probe": probes,
    "daemon": whole_daemon,
    "memory": memory,
    "startup": starting,
    "endurance": endurance,
    "scale": scale,
    "soak": soaked,
}
USUAL = ("probe", "daemon", "memory", "startup")


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: {', '.join(USUAL)}")
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON too")
    given = parser.parse_args()
    parts = given.parts or USUAL
    if unknown := set(parts) - PARTS.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if NGINX is None:
        print("error: nginx answers the probes; on Debian: apt-get install nginx-light", file=sys.stderr)
        return 2
    for note in probe.to_install():
        print(f"note: {note}", file=sys.stderr)
    measured: dict[str, Any] = {}
    failed = []
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)  # nginx gives up root, where it has it
        with servers(directory) as found:
            for part in parts:
                say(f"{part}:")
                try:
                    measured[part] = measure(part, found, given.rounds)
                except BadAnswer as exc:  # what the other parts found is good all the same
                    failed.append(f"{part}: {exc}")
                else:
                    write({part: measured[part]})
    print(report.rendered(measured))
    if given.json:
        print(json.dumps(measured, indent=1, ensure_ascii=False))
    for failure in failed:
        print(f"error: {failure}", file=sys.stderr)
    return 1 if failed or report.missed(measured, parts) else 0


def measure(part: str, found: Servers, rounds: int) -> dict[str, Any]:
    """The results of *part*, with their date and the machine."""
    began = time.monotonic()
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": machine.facts(),
        **PARTS[part](found, rounds),
        "seconds": round(time.monotonic() - began),
    }


def write(measured: dict[str, Any]) -> None:
    """Put *measured* in the place of what was measured of the same parts before."""
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    results |= measured
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(report.rendered(results), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
