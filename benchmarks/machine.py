"""Where it was measured: facts without names or paths."""

from __future__ import annotations

import os
import platform
import re
import ssl
import subprocess
from importlib import metadata
from pathlib import Path

from benchmarks.servers import NGINX

_PACKAGES = ("trio", "httpx", "trio-websocket", "aiohttp", "uvloop", "gevent", "requests", "websockets")


def facts() -> list[str]:
    """A few phrases."""
    cores = len(os.sched_getaffinity(0))
    return [
        f"{_cpu()}, {cores} cores",
        f"Linux {platform.release()}",
        f"Python {platform.python_version()} with {ssl.OPENSSL_VERSION.rsplit(' ', 3)[0]}",
        f"nginx {_nginx()}",
        ", ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES),
    ]


def _cpu() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else platform.machine()


def _nginx() -> str:
    said = subprocess.run([NGINX or "nginx", "-v"], capture_output=True, text=True, check=False).stderr
    found = re.search(r"nginx/(\S+)", said)
    return found[1] if found else "?"
