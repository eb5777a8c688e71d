"""A file system that does not answer: FUSE whose server never says a word, in a mount namespace.

    unshare --map-root-user --mount python -m support.hanging_files DIRECTORY

mounts it on the directory, looks at a file in it and, meanwhile, at this one; prints both observations as JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path

import trio

from checks.file import File
from support.probes import look, look_calmly


async def main(directory: Path) -> None:
    found: dict[str, list[str]] = {}

    async def note(name: str, path: Path, timeout: float) -> None:
        seen = await (look_calmly if name == "hangs" else look)(
            File(path=path), timeout=timeout, expect=("size(text) > 0",)
        )
        found[name] = [str(seen.status), str(seen.reason.code), seen.reason.message]

    async with trio.open_nursery() as together:
        together.start_soon(note, "hangs", directory / "file", 0.5)
        together.start_soon(note, "good", Path(__file__), 30.0)
    print(json.dumps(found))


if __name__ == "__main__":
    try:
        kernel = os.open("/dev/fuse", os.O_RDWR)
    except OSError as exc:
        print(exc, file=sys.stderr)
        sys.exit(77)
    options = f"fd={kernel},rootmode=40000,user_id=0,group_id=0".encode()
    if ctypes.CDLL(None, use_errno=True).mount(b"fuse", os.fsencode(sys.argv[1]), b"fuse", 0, options) != 0:
        print(f"cannot mount: {os.strerror(ctypes.get_errno())}", file=sys.stderr)
        sys.exit(77)
    try:
        trio.run(main, Path(sys.argv[1]))
    finally:
        os.close(kernel)  # whoever waits gets an error
