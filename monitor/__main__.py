"""Where the process begins: `monitor` and `python -m monitor`."""

from __future__ import annotations

import sys

from monitor import early


def main() -> None:
    """Run the command line and leave with its exit code."""
    args = sys.argv[1:]
    if early.starts_daemon(args):
        early.take_signals()
    try:
        from monitor.cli.outcome import run  # noqa: PLC0415 - Ctrl-C while we load is a Ctrl-C, too

        code = run(args)
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
