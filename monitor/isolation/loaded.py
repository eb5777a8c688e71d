"""What workers need, loaded once, by the zygote: every one of them has it then, and shares the memory of it."""

import httpx

from monitor.core import cel
from monitor.isolation import worker
from monitor.net import transport

__all__ = ["httpx", "transport", "worker"]

cel.library()
