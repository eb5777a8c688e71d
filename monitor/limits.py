"""Limits of the operating system and of the interpreter."""

from __future__ import annotations

import contextlib
import gc
import resource

_OTHERS = 700  # files that are open beside those of probes: clients of the page, alerts under way, the database
_ROUND = 25_000  # objects more than at the last round of the garbage collector
_ROUNDS_OF_ELDERS = 1, 60  # rounds more than so many before one over what they left, and of those before one over all
_MANY = 300_000  # objects: a round over so many stops the loop for 0.15 s
_OF_MANY = 50_000, 1, 3600  # the same three where rounds come by the clock, one a second


def raise_descriptor_limit() -> None:
    """Raise the soft limit of open files to the hard one; a thousand probes at once need as many sockets."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS refuses an unlimited number; then the limit stays as it was.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def too_few_descriptors(*, held: int, probes: int) -> str | None:
    """One sentence where the limit of open files does not reach for so many connections; None: it does."""
    if not held:
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = held + probes + _OTHERS
    if limit == resource.RLIM_INFINITY or limit >= wanted:
        return None
    what = f"{held:,} connections that are held and {probes:,} probes at once"
    return f"for {what} expected a limit of {wanted:,} open files at least, got {limit:,}"


def collect_no_garbage() -> None:
    """Stop the garbage collector's rounds: while much is made that stays, and at the end, when nothing needs to go.

    With fifty thousand endpoints they take half of the time that it takes to start, and to stop.
    """
    gc.disable()


def spare_what_is_loaded() -> None:
    """Take everything there is now out of the garbage collector's rounds, which go on.

    With a thousand endpoints a round over all of it stops the loop for 200 ms, time and again; what stays for good,
    modules and configuration, is most of that. To be called once everything has started.

    The rounds come more rarely from then on: a probe leaves no circles behind, whatever comes of it, and at the 700
    objects that Python waits for they took a fifth of the daemon's time. Those over what the last ones left come at
    every other of them, not at every eleventh as by default: after hundreds of dropped clients that one stopped the
    loop for 280 ms. Those over all are rare, for with fifty thousand endpoints one stops it for half a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ROUND, *_ROUNDS_OF_ELDERS)
    gc.enable()


def spare_first_results() -> bool:
    """Take what was made since then out of the rounds as well: what follows takes its place, one by one.

    Without a round over all of it, which stops the loop for 1.6 s with fifty thousand endpoints. What garbage there may
    be in it stays, so this is not to be called time and again.

    Is it so much that `collect_young` should be called every second from now on? Python counts what is made less what
    goes. While results take the place of others that is nothing, until a round comes after all and goes over a whole
    interval's at once, with fifty thousand endpoints for a second. Then there is one over everything once an hour at
    most.
    """
    gc.collect(1)
    before = gc.get_freeze_count()
    gc.freeze()
    gc.collect()  # of nothing: the rounds are counted anew
    are_many = gc.get_freeze_count() - before > _MANY
    if are_many:
        gc.set_threshold(*_OF_MANY)
    return are_many


def collect_young() -> None:
    """Have a round over what was made since the last: 10 ms for a thousand results."""
    gc.collect(1)
