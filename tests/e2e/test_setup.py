"""The set-up: what the wheel holds, and that the locks pin everything and name no place."""

from __future__ import annotations

import ast
import importlib.metadata
import itertools
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
LOCKS = [ROOT / f"requirements{which}.lock" for which in ("", "-dev", "-bench")]


def pinned(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", lock.read_text(), re.MULTILINE))


def names(requirements: Sequence[object]) -> set[str]:
    found = (re.match(r"[A-Za-z0-9._-]+", text) for text in requirements if isinstance(text, str))
    return {re.sub(r"[-_.]+", "-", match[0]).lower() for match in found if match}


def test_the_locks_pin_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    runs, tests, peers = map(pinned, LOCKS)
    groups = project["dependency-groups"]
    assert names(project["project"]["dependencies"]) | names(groups["build"]) <= runs.keys()
    assert names(groups["dev"]) <= tests.keys()
    assert names(groups["bench"]) <= peers.keys()
    assert runs.items() <= tests.items()
    assert runs.items() <= peers.items()


def test_what_the_code_imports_it_asks_for_itself() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"].get("optional-dependencies", {})  # what is imported only where it is used
    asked_for = names([*project["project"]["dependencies"], *itertools.chain(*extras.values())])
    asked_for |= names([each for extra in project["project"]["optional-dependencies"].values() for each in extra])
    brought_by = importlib.metadata.packages_distributions()
    for path in [*(ROOT / "monitor").rglob("*.py"), *(ROOT / "checks").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            modules += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            for module in {each.split(".")[0] for each in modules} - sys.stdlib_module_names - {"monitor", "checks"}:
                assert names(brought_by[module]) & asked_for, f"{path} imports {module}: not in pyproject.toml"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_has_hashes_and_names_no_place(lock: Path) -> None:
    text = lock.read_text()
    assert re.search(r"://|--(extra-)?index|--find-links|@ file|(?m:^\s*/)", text) is None
    for requirement in re.split(r"(?m)^(?=[a-z])", text):
        if requirement.strip():
            assert "--hash=sha256:" in requirement, requirement.splitlines()[0]


def test_the_wheel_holds_the_two_packages_and_their_files(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = archive.namelist()
        (metadata,) = (name for name in held if name.endswith("/entry_points.txt"))
        assert "monitor = monitor.__main__:main" in archive.read(metadata).decode()
    top = {name.split("/")[0] for name in held}
    assert {name for name in top if not name.endswith(".dist-info")} == {"monitor", "checks"}
    assert {suffix for name in held for suffix in [Path(name).suffix] if "/templates/" in name} == {".html"}
    assert any("/static/" in name and name.endswith(".css") for name in held)
    shipped = {path.relative_to(ROOT).as_posix() for package in ("monitor", "checks") for path in files(ROOT / package)}
    assert shipped <= set(held)


def files(package: Path) -> list[Path]:
    return [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


@pytest.mark.parametrize("python", ["/nonexistent/python", "false"])
def test_an_interpreter_that_will_not_do_is_told(python: str, tmp_path: Path) -> None:
    done = venv_script(tmp_path, PYTHON=python)
    assert done.returncode == 1
    assert done.stderr == f"error: PYTHON={python} does not run, or is older than Python 3.11\n"


def test_a_python_without_venv_is_told_what_to_install(tmp_path: Path) -> None:
    # As on Debian without python3-venv: ensurepip cannot be imported.
    crippled = tmp_path / "crippled"
    crippled.write_text(f'#!/bin/sh\ncase $2 in *ensurepip*) exit 1;; esac\nexec {sys.executable} "$@"\n')
    crippled.chmod(0o755)
    done = venv_script(tmp_path, PYTHON=str(crippled))
    assert done.returncode == 1
    assert done.stderr.endswith("on Debian and Ubuntu: apt-get install python3-venv\n")


def venv_script(cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", ROOT / ".ci" / "venv", "fresh", "no.lock"],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", **environ},
        capture_output=True,
        text=True,
        check=False,
    )
