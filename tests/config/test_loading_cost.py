"""What reading a config does not cost: modules it has no use for, and work that repeats for every endpoint."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CONFIGS = Path(__file__).parent.parent / "configs"
LOAD = """
import sys
from pathlib import Path
from monitor.config.load import load
config = load(Path(sys.argv[1]), environ={})
print(len(config.endpoints), *sorted({"trio", "httpx", "cel", "starlette", "toml_rs", "click"} & sys.modules.keys()))
"""


def loaded_modules(path):
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(path)], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


def test_a_config_without_expressions_needs_none_of_the_big_ones():
    assert loaded_modules(CONFIGS / "good-minimal.toml") == "1"


def test_expressions_need_only_cel(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('[[endpoint]]\nname = "a"\nurl = "https://a.example.org/"\nexpect = ["status == 200"]\n')
    assert loaded_modules(path) == "1 cel"
