"""The log: what a line looks like, what it never holds, and that nobody who logs ever waits."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from monitor import logs

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger("monitor.daemon")


def mask(text: str) -> str:
    return text.replace("hunter22", "***")


class Logged:
    """A file to log to in a block, and the text of it."""

    def __init__(self, path: Any) -> None:
        self._path = path

    @contextlib.contextmanager
    def __call__(self, layout: str = "text", level: str = "info") -> Iterator[None]:
        with self._path.open("w") as file, logs.setup(format=layout, level=level, stream=file, mask=mask):
            yield

    @property
    def text(self) -> str:
        return self._path.read_text(encoding="utf-8")


@pytest.fixture
def logged(tmp_path):
    return Logged(tmp_path / "log")


def test_a_line_of_text(logged):
    with logged():
        log.info("received %s", "SIGTERM")
        log.debug("not at this level")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO monitor\.daemon: received SIGTERM\n", logged.text)


def test_a_line_of_json(logged):
    with logged("json"):
        log.warning("received %s", "SIGTERM ⏻")
    [line] = logged.text.splitlines()
    document = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", document.pop("time"))
    assert document == {"level": "warning", "logger": "monitor.daemon", "message": "received SIGTERM ⏻"}


@pytest.mark.parametrize("layout", ["text", "json"])
def test_a_server_cannot_forge_a_line(logged, layout):
    forged = "fine\n2026-11-22T15:00:00.123Z ERROR monitor: forged\r\x1b[2J\u202e\u2028\x9b\ud800\x00"
    with logged(layout):
        log.info("the server said %s", forged)
    [line] = logged.text.split("\n")[:-1]
    assert len(logged.text.splitlines()) == 1
    assert line.isprintable()
    assert r"fine\n2026" in line


@pytest.mark.parametrize("layout", ["text", "json"])
def test_no_secret_leaves_in_message_arguments_or_traceback(logged, layout):
    with logged(layout):
        log.info("token hunter22")
        log.info("token %r", {"token": "hunter22"})
        try:
            raise ValueError("hunter22\nforged")
        except ValueError:
            log.exception("failed")
    assert "hunter22" not in logged.text
    assert logged.text.count("***") >= 3


def test_a_traceback_is_indented(logged):
    with logged():
        try:
            raise ValueError("first\nsecond")
        except ValueError:
            log.exception("failed")
    head, *rest = logged.text.splitlines()
    assert head.endswith("ERROR monitor.daemon: failed")
    assert rest[0] == "    Traceback (most recent call last):"
    assert rest[-2:] == ["    ValueError: first", "    second"]
    assert all(line.startswith("    ") for line in rest)


def test_a_traceback_in_json_is_in_its_object(logged):
    with logged("json"):
        try:
            raise ValueError("first")
        except ValueError:
            log.exception("failed")
    [line] = logged.text.splitlines()
    assert json.loads(line)["traceback"][-1] == "ValueError: first"


def test_what_is_logged_shows_what_was_then(logged):
    with logged():
        changing = ["before"]
        log.info("%s", changing)
        changing[0] = "after"
    assert "before" in logged.text
    assert "after" not in logged.text


def test_a_wrong_log_call_says_where_it_is_and_harms_nobody():
    """In a process of its own, because pytest's handler raises for it."""
    program = (
        "import logging, sys\n"
        "from monitor import logs\n"
        "with logs.setup(format='json', level='info', stream=sys.stderr, mask=str):\n"
        "    logging.info('%d', 'hunter22')\n"
        "    logging.info('next')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=30, check=True)
    wrong, following = map(json.loads, done.stderr.splitlines())
    assert wrong["message"] == "a log call at <string>:4 cannot be rendered"
    assert following["message"] == "next"


def test_httpx_does_not_log_the_urls_it_asks_for(logged):
    with logged(level="debug"):
        logging.getLogger("httpx").info("HTTP Request: GET https://example.org/T0KEN")
        logging.getLogger("httpx").warning("odd")
    assert "T0KEN" not in logged.text
    assert "odd" in logged.text


def test_a_long_message_is_cut(logged):
    with logged():
        log.info("x" * 1_000_000)
    assert len(logged.text) < 11_000


def test_afterwards_logging_is_as_it_was(logged):
    root, httpx = logging.getLogger(), logging.getLogger("httpx")
    before = (root.level, root.handlers[:], httpx.level)
    with logged(level="debug"):
        pass
    log.error("not for this log")
    assert (root.level, root.handlers, httpx.level) == before
    assert logged.text == ""


class TestBlockedPipe:
    @pytest.fixture
    def pipe(self):
        """A pipe that nobody reads yet: its reading end, and the stream to log to."""
        reading, writing = os.pipe()
        stream = os.fdopen(writing, "w")
        yield reading, stream
        # First the reader, so that a writer that still hangs is freed.
        os.close(reading)
        stream.close()

    @pytest.mark.parametrize("blocking", [True, False])
    def test_nobody_who_logs_waits_and_the_dropped_are_counted(self, pipe, blocking, monkeypatch):
        reading, stream = pipe
        monkeypatch.setattr(logs, "BACKLOG", 100)
        os.set_blocking(stream.fileno(), blocking)
        read: list[bytes] = []

        def read_all() -> None:
            while data := os.read(reading, 65536):
                read.append(data)
                if b"the last line" in data:
                    return

        with logs.setup(format="text", level="info", stream=stream, mask=mask):
            for number in range(10_000):  # 100 wait, some hundreds are in the pipe, the rest has no room
                log.info("%d %s", number, "x" * 100)
            reader = threading.Thread(target=read_all)
            reader.start()
            while reader.is_alive():
                log.info("the last line")
                reader.join(0.01)
        lines = b"".join(read).decode().splitlines()
        numbers = [int(line.split()[3]) for line in lines if line.endswith("x")]
        dropped = [int(line.split()[3]) for line in lines if "log lines were dropped, because nobody read them" in line]
        assert numbers == sorted(set(numbers))
        assert len(numbers) < 10_000 <= len(numbers) + sum(dropped)

    def test_the_end_is_bounded(self, pipe, monkeypatch):
        _, stream = pipe
        monkeypatch.setattr(logs, "LONGEST_FLUSH", 0.1)
        with logs.setup(format="text", level="info", stream=stream, mask=mask):
            for _ in range(20_000):
                log.info("x" * 100)

    def test_a_reader_that_is_gone_harms_nobody(self):
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "w") as stream, logs.setup(format="text", level="info", stream=stream, mask=mask):
            log.info("to nobody")

    def test_a_process_whose_stderr_is_blocked_ends_cleanly(self):
        """Also at the end of the interpreter, where a lock held by the writer would abort it."""
        program = (
            "import logging, sys\n"
            "from monitor import logs\n"
            "with logs.setup(format='json', level='info', stream=sys.stderr, mask=str):\n"
            "    for _ in range(20_000): logging.info('x' * 100)\n"
            "sys.stdout.write('done')\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.wait(timeout=30) == 0  # and nobody has read a byte of its stderr
            assert process.stdout is not None
            assert process.stdout.read() == b"done"
