"""Where the process begins: `monitor` and `python -m monitor`."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    try:
        from monitor.cli.outcome import run  # noqa: PLC0415 - Ctrl-C while we load is a Ctrl-C, too

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
