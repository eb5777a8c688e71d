"""The public API in a stranger's file: pyright, as strict as it gets, knows the type of everything."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import monitor.api
import monitor.testing

PAGE = (Path(__file__).parents[2] / "docs/plugins.md").read_text("utf-8")
EXAMPLES = [
    text for text in re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE) if "# test_" not in text[:9]
]
NAMES = [f"monitor.{module}.{name}" for module in ("api", "testing") for name in getattr(monitor, module).__all__]
STRICT = {"typeCheckingMode": "strict", "reportMissingTypeStubs": False, "reportPrivateImportUsage": True}


def test_a_stranger_gets_no_unknown_types(tmp_path: Path) -> None:
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(STRICT))
    (tmp_path / "names.py").write_text(
        "\n".join(["import monitor.api", "import monitor.testing", f"print({', '.join(NAMES)})"])
    )
    for text in EXAMPLES:
        (tmp_path / text.partition("\n")[0].removeprefix("# ")).write_text(text)
    scripts = Path(sys.executable).parent
    done = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--outputjson"],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    report = json.loads(done.stdout)
    assert [f"{each['file']}: {each['message']}" for each in report["generalDiagnostics"]] == []
    assert report["summary"]["filesAnalyzed"] == 1 + len(EXAMPLES)
