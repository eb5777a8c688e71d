"""`template`: the user's own words, in Jinja2, sandboxed.

A template sees the keys of the `standard` document (`type`, `timestamp`, `data`), `title` and `text` as the other
formats say them, and `sink`. What it may cost is bounded: it is rendered by a process of its own (`rendering`), which
is killed when it takes too long.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from monitor.api import DeliveryError, Manner, seconds_text, shown
from monitor.core.text import printable
from monitor.sinks.formats.words import news

if TYPE_CHECKING:
    from monitor.sinks.formats.words import Document

MANNER = Manner(per_minute=20)
LONGEST = 3.0  # seconds for one rendering, the start of its process included
_KEPT = ("LD_LIBRARY_PATH", "SYSTEMROOT")  # of the environment, which a template has no business with
_LONGEST_ERROR = 300


def check(source: str) -> None:
    """Raise ValueError for a *source* that is no template.

    It is read and not compiled: that would compute its constants, and `{{ "x" * 10 ** 10 }}` has no bound here.
    """
    import jinja2  # noqa: PLC0415 - only who has a template needs it
    from jinja2 import nodes  # noqa: PLC0415

    from monitor.sinks.formats.rendering import environment  # noqa: PLC0415

    if not source.strip():
        raise ValueError("expected a template, got nothing")
    try:
        known = environment()
        tree = known.parse(source)
    except jinja2.TemplateSyntaxError as exc:
        raise ValueError(f"line {exc.lineno} of the template: {exc.message}") from exc
    for kind, names in ((nodes.Filter, known.filters), (nodes.Test, known.tests)):
        for each in tree.find_all(kind):
            if each.name not in names:
                noun = kind.__name__.lower()
                raise ValueError(f"line {each.lineno} of the template: there is no {noun} {shown(each.name)}")


async def render(source: str, document: Document, *, sink: str) -> bytes:
    """The body; DeliveryError where *source* fails for this *document*, which no waiting mends, or takes too long."""
    import trio  # noqa: PLC0415

    told = news([document])
    asked = {"template": source, "values": {**document, "title": told.title, "text": told.text, "sink": sink}}
    command = [sys.executable, "-I", "-m", "monitor.sinks.formats.rendering"]
    with trio.move_on_after(LONGEST):
        done = await trio.run_process(
            command,
            stdin=json.dumps(asked).encode(),
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            env={name: os.environ[name] for name in _KEPT if name in os.environ},
        )
        if done.returncode == 0:
            return done.stdout
        said = printable(done.stderr.decode("utf-8", "replace").strip())[:_LONGEST_ERROR]
        raise DeliveryError(
            f"the template cannot be rendered: {said or f'it ended with {done.returncode}'}", final=True
        )
    raise DeliveryError(f"the template took longer than {seconds_text(LONGEST)}", status=422)
