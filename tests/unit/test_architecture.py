"""The architecture is a test: which way the imports point, what stays out of where, how long things may get.

A new module or package of `monitor` needs a place in LAYERS; all else follows from there.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).relative_to(ROOT)

# Lowest first; a module imports from rows above its own here, and from its own package. Names are those of the
# modules and packages directly in `monitor`; one that does not exist (any more) does no harm.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"core", "violations"}),
    frozenset({"net", "store", "processes"}),
    frozenset({"companion", "threads", "declaring"}),
    frozenset({"probe", "validators"}),
    frozenset({"plugin"}),
    frozenset({"telling"}),
    frozenset({"api"}),
    frozenset(
        {"plugins", "gauges", "exposition", "probing", "sinks", "live", "holds", "agenda", "invariants", "heartbeats"}
    ),
    frozenset({"config"}),
    frozenset({"web", "watching"}),
    frozenset(
        {
            "supervisor",
            "recorder",
            "outbox",
            "reload",
            "limits",
            "notify",
            "logs",
            "signals",
            "watchdog",
            "system",
            "address",
            "early",
            "silencer",
            "maintenance",
        }
    ),
    frozenset({"selfwatch", "testing", "isolation"}),
    frozenset({"engine"}),
    frozenset({"daemon", "oneshot", "trial", "imports", "backtest"}),
    frozenset({"demo"}),
    frozenset({"cli"}),
    frozenset({"__main__"}),
)
DAEMON = next(number for number, row in enumerate(LAYERS) if "daemon" in row)

# What makes a run non-deterministic comes in as an argument: Clock, Rand, Net. Only these may reach for it.
IMPURE = frozenset({"time", "random", "uuid", "secrets", "socket"})
IMPURE_CALLS = frozenset({"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "os.urandom"})
MAY_BE_IMPURE = {
    "monitor.system": "is the real clock and the real dice",
    "monitor.net": "is the way out",
    "monitor.processes": "is the way to other processes",
    "monitor.isolation": "speaks with them over sockets",
    "monitor.web.server": "sets options on the sockets of its own listener",
    "monitor.sinks.smtp": "speaks by the standard library, whose connection it must be able to shut down",
    "monitor.notify": "speaks to the service manager, on its socket and by its clock",
    "monitor.watchdog": "is a thread that must count when the loop does not",
    "monitor.signals": "holds the watchdog thread, which must count when the loop does not",
}

# The core decides; it waits for nothing and touches nothing.
NOT_IN_CORE = IMPURE | {
    *("trio", "asyncio", "threading", "subprocess", "signal", "select", "ssl", "sqlite3", "os", "io", "pathlib"),
    *("httpx", "httptools", "starlette", "anycorn", "jinja2", "click", "rich", "cattrs", "logging", "tomllib"),
}

# What `--help`, `validate` and loading a plugin must not pay for.
HEAVY = ("trio", "httpx", "cel", "starlette", "anycorn", "jinja2", "rich", "cryptography", "dns")
CHEAP = (
    "monitor.api",
    "monitor.address",
    "monitor.cli.client",
    "monitor.plugin",
    "monitor.plugins",
    "monitor.probe",
    "monitor.config.load",
    "monitor.cli.root",
)

LONGEST_MODULE = 400
LONGEST_FUNCTION = 60


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def named(path: Path) -> str:
    """The dotted name of the module in *path*."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """Everything *path* imports, also inside functions and for types only: a dotted name, and where it stands."""
    for node in ast.walk(tree_of(path)):
        where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, where
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{where}: imports are absolute here"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", where


def called(path: Path) -> Iterator[tuple[str, str]]:
    """Everything *path* calls by an attribute of a name, `os.urandom`, and where."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield ast.unparse(node.func), f"{path.relative_to(ROOT)}:{node.lineno}"


def layer(module: str) -> int | None:
    """The row of `monitor.x.y` in LAYERS; None for the package itself, which holds nothing but its docstring."""
    unit = [*module.split("."), ""][1]
    if not unit:
        return None
    rows = [number for number, row in enumerate(LAYERS) if unit in row]
    assert len(rows) == 1, f"{unit!r} of monitor has no layer (or two): add it to LAYERS in {HERE}"
    return rows[0]


def test_a_module_stands_in_one_layer() -> None:
    for path in sources("monitor"):
        layer(named(path))


@pytest.mark.parametrize("path", sources("monitor"), ids=named)
def test_imports_point_down(path: Path) -> None:
    importer = named(path)
    own = layer(importer)
    for name, where in imported(path):
        if not name.startswith("monitor."):
            assert name.split(".")[0] != "checks", f"{where}: the engine meets checks only through entry points"
            continue
        other = layer(name)
        same_unit = importer.split(".")[1:2] == name.split(".")[1:2]
        assert same_unit or (own is not None and other is not None and other < own), (
            f"{where}: {importer} must not import {name}: see LAYERS in {HERE}"
        )


def test_the_package_itself_holds_nothing() -> None:
    assert [type(node) for node in tree_of(ROOT / "monitor" / "__init__.py").body] == [ast.Expr]


@pytest.mark.parametrize("path", sources("checks"), ids=named)
def test_a_built_in_check_uses_what_a_stranger_may_use(path: Path) -> None:
    for name, where in imported(path):
        if name.split(".")[0] == "monitor":
            assert name.startswith("monitor.api."), f"{where}: a check imports from monitor.api, not {name}"


@pytest.mark.parametrize("path", sources("monitor/core"), ids=named)
def test_the_core_is_pure(path: Path) -> None:
    for name, where in imported(path):
        assert name.split(".")[0] not in NOT_IN_CORE, f"{where}: nothing in core imports {name}"


@pytest.mark.parametrize("path", sources("monitor") + sources("checks"), ids=named)
def test_chance_time_and_sockets_come_in_as_arguments(path: Path) -> None:
    module = named(path)
    is_free = any(module == free or module.startswith(free + ".") for free in MAY_BE_IMPURE)
    is_below = not module.startswith("monitor") or (layer(module) or 0) < DAEMON
    if is_free or not is_below:
        return
    for name, where in imported(path):
        assert name.split(".")[0] not in IMPURE, f"{where}: {name} is for {', '.join(MAY_BE_IMPURE)}"
    for name, where in called(path):
        assert name not in IMPURE_CALLS, f"{where}: {name} is for {', '.join(MAY_BE_IMPURE)}"


@pytest.mark.parametrize("path", sources("monitor") + sources("checks"), ids=named)
def test_a_module_says_what_lives_in_it_and_is_short(path: Path) -> None:
    tree = tree_of(path)
    assert ast.get_docstring(tree), f"{path}: a module begins with its docstring"
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST_MODULE, f"{path}: {lines} lines, at most {LONGEST_MODULE}"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{path}:{node.lineno}: {node.name} has {length} lines"


def loaded_by(program: str) -> list[str]:
    """Run *program* in a fresh interpreter; which of HEAVY are loaded afterwards."""
    ending = f"\nimport sys\nprint('loaded:', *sorted(set({HEAVY!r}) & sys.modules.keys()))"
    ran = subprocess.run([sys.executable, "-c", program + ending], capture_output=True, text=True, check=True, cwd=ROOT)
    return ran.stdout.splitlines()[-1].split()[1:]


# What only a probe imports, inside a function.
DEAR = {
    *("checks.addresses", "checks.certificates", "checks.conversation", "checks.cookies", "checks.holding"),
    *("checks.signing", "checks.visit", "checks.walk", "checks.wire"),
}


@pytest.mark.parametrize("module", sorted({*CHEAP, *map(named, sources("checks"))} - DEAR))
def test_what_every_command_loads_is_cheap(module: str) -> None:
    assert loaded_by(f"import {module}") == []


def test_help_is_cheap() -> None:
    program = """
import contextlib, sys
from monitor.__main__ import main
sys.argv = ["monitor", "--help"]
with contextlib.suppress(SystemExit):
    main()
"""
    assert loaded_by(program) == []
