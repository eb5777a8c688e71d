"""The worked example is a real package: installed by pip, found by its entry point, run like a built-in check."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import monitor
from support.loopback import serve_http

EXAMPLE = Path(__file__).parent / "example_check"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The directory that pip installed the example into."""
    source, target = (tmp_path_factory.mktemp(name) for name in ("source", "target"))
    shutil.copytree(EXAMPLE, source / "example", ignore=shutil.ignore_patterns("__pycache__"))
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", *offline, "--target", target, source / "example"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith("PIP_")},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return target


async def test_the_kind_is_known_once_the_package_is_installed(installed, tmp_path):
    without = await monitor("checks", cwd=tmp_path)
    assert (without.code, "queue_depth" in without.out) == (0, False)
    listed = await monitor("checks", cwd=tmp_path, PYTHONPATH=str(installed))
    assert listed.code == 0
    assert re.search(r"queue_depth.*example-check", listed.out)


async def test_the_config_of_its_readme_is_valid(installed, tmp_path):
    (config,) = re.findall(r"^```toml\n(.*?)^```$", (EXAMPLE / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    (tmp_path / "config.toml").write_text(config)
    done = await monitor("validate", cwd=tmp_path, PYTHONPATH=str(installed))
    assert (done.code, done.out.splitlines()[0], done.err) == (0, "config.toml: 1 endpoint, 0 sinks", "")
    without = await monitor("validate", cwd=tmp_path)
    assert without.code == 3
    assert 'there is no check "queue_depth"' in without.err


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b'{"depth": 20}', "up", ""),
        (b'{"depth": 101}', "down", "expected at most 100 waiting jobs, got 101"),
        (b"[]", "down", 'expected a document with a number "depth", got status 200'),
    ],
)
async def test_it_works(body, status, message, installed, tmp_path, nursery):
    port = await nursery.start(serve_http, lambda _: (200, body))
    config = f'[[endpoint]]\nname = "q"\ncheck = "queue_depth"\nurl = "http://127.0.0.1:{port}/"\n'
    (tmp_path / "config.toml").write_text(config)
    done = await monitor("check", "--format", "json", cwd=tmp_path, PYTHONPATH=str(installed))
    (result,) = json.loads(done.out)["endpoints"]
    assert (result["status"], result["reason"]["message"]) == (status, message)
    assert result["facts"].get("depth") == (None if body == b"[]" else json.loads(body)["depth"])
