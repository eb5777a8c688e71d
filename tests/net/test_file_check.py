"""The file check: age, size and content of regular files; what is none is not opened, what hangs stalls nobody."""

from __future__ import annotations

import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.namespaces import alone
from support.probes import look

from checks.file import File
from monitor.core.quantities import ByteSize
from monitor.declaring import OptionError

if TYPE_CHECKING:
    from monitor.core.model import Observation


def told(seen: Observation) -> tuple[str, str, str]:
    return str(seen.status), str(seen.reason.code), seen.reason.message


@pytest.fixture
def stamp(tmp_path: Path) -> Path:
    path = tmp_path / "stamp"
    path.write_text('{"done": true}\n')
    hour_ago = datetime.now(UTC).timestamp() - 3600
    os.utime(path, (hour_ago, hour_ago))
    return path


async def test_age_size_and_content(stamp: Path) -> None:
    wanted = (
        "age > duration('59m') && age < duration('90m')",
        "size == 15",
        "text.matches('done.: true')",
        "json.done",
        "exists",
    )
    seen = await look(File(path=stamp), expect=wanted)
    assert told(seen) == ("up", "ok", "")
    assert seen.facts["size"] == 15
    assert not {"text", "json"} & seen.facts.keys()
    old = await look(File(url=f"file://{stamp}"), expect=("age < duration('5m')",))
    assert told(old)[:2] == ("down", "expectation")
    assert list(old.phases) == ["reading"]


async def test_one_that_is_not_there(tmp_path: Path, stamp: Path) -> None:
    for absent in (tmp_path / "absent", stamp / "below a file"):
        assert told(await look(File(path=absent))) == ("down", "expectation", f"there is no file {absent}")
        assert (await look(File(path=absent), expect=("!exists",))).status == "up"
    assert (await look(File(path=stamp), expect=("!exists",))).status == "down"


async def test_what_is_no_regular_file_is_not_even_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for path, kind in (
            (tmp_path, "a directory"),
            (tmp_path / "pipe", "a pipe"),
            (tmp_path / "socket", "a socket"),
            (Path("/dev/zero"), "a device"),
            (tmp_path / "link", "a device"),
        ):
            seen = await look(File(path=path), expect=("text == ''",))
            assert told(seen) == ("down", "protocol", f"expected a regular file, got {kind}: {path}")


async def test_the_content_is_bounded_and_bytes_of_any_kind_are_text(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"\xff" * 2000)
    check = File(path=path, limit=ByteSize(1024))
    assert told(await look(check, expect=("size(text) > 0",))) == (
        "down",
        "limit",
        f"the file is larger than 1 KiB: {path}",
    )
    assert (await look(check, expect=("size == 2000",))).status == "up"
    assert (await look(File(path=path), expect=("text.startsWith('\ufffd\ufffd')",))).status == "up"
    not_json = await look(File(path=path), expect=("json.x == 1",))
    assert not_json.status == "down"


async def test_files_that_say_nothing_of_their_size() -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("this system has no /proc")
    seen = await look(File(path=Path("/proc/self/status")), expect=("text.contains('Name:')",))
    assert seen.status == "up", seen.reason


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_one_that_may_not_be_read(stamp: Path) -> None:
    stamp.chmod(0)
    seen = await look(File(path=stamp), expect=("text == ''",))
    assert told(seen) == ("unknown", "internal", f"the monitor cannot look at {stamp}: Permission denied")


async def test_a_path_that_cannot_be(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 300)
    assert told(await look(File(path=path))) == (
        "unknown",
        "internal",
        f"the monitor cannot look at {path}: File name too long",
    )


def test_a_file_system_that_does_not_answer_holds_up_nothing_else(tmp_path: Path) -> None:
    assert json.loads(alone("mount", "support.hanging_files", str(tmp_path))) == {
        "hangs": ["down", "timeout", "no answer within 500 ms (during reading)"],
        "good": ["up", "ok", ""],
    }


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({}, "path"),
        ({"path": Path("x"), "url": "file:///x"}, "path"),
        ({"url": "file://host/x"}, "url"),
        ({"url": "file:x"}, "url"),
        ({"url": "file:///x?y"}, "url"),
        ({"url": "file:///x%00"}, "url"),
        ({"path": Path("x\0y")}, "path"),
    ],
)
def test_what_cannot_be_is_a_mistake_of_the_config(options: dict[str, Any], option: str) -> None:
    with pytest.raises(OptionError) as caught:
        File(**options)
    assert caught.value.option == option
