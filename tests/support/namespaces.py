"""A part of a test in Linux namespaces of its own, where it may do what would disturb the rest of the machine."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]


def alone(kind: str, *program: str, through: Sequence[str] = ()) -> str:
    """Run `python -m PROGRAM…` in a new namespace of *kind*, `net` or `mount`; what it printed.

    Skips the test where the system gives none, or where the program ends with 77: something it needs is not there.
    *through* are programs that start it, with their arguments.
    """
    if not _possible(kind) or not all(map(shutil.which, through[:1])):
        pytest.skip(f"this system gives no {kind} namespace")
    path = os.pathsep.join([str(ROOT / "tests"), str(ROOT)])
    command = [*_unshare(kind), *through, sys.executable, "-W", "error", "-m", *program]
    ran = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONPATH": path}, check=False, cwd=ROOT)
    if ran.returncode == 77:
        pytest.skip(ran.stderr.decode().strip())
    assert ran.returncode == 0, ran.stderr.decode()
    return ran.stdout.decode()


def _unshare(kind: str) -> list[str]:
    return ["unshare", "--map-root-user", f"--{kind}"]


@functools.cache
def _possible(kind: str) -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*_unshare(kind), "true"], capture_output=True, check=False).returncode == 0
