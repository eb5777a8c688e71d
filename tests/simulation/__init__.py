"""A deterministic simulation of the daemon: simulated time, network, disk trouble and signals, chance from a seed.

    time.py        trio's clock and the wall clock that follows it; the scheduler made deterministic
    network.py     hosts that serve, fail and hang, behind the interface `monitor.net.Net`
    disk.py        where the store's blocking calls are made: slow, full, locked, or cut off by a crash
    checks.py      the real `http` check, watched; and one that misbehaves
    plans.py       endpoints, sinks and maintenance windows, as the config says them
    scenario.py    what a seed draws of these, and which faults
    chaos.py       the faults themselves
    people.py      what people do meanwhile: silences, acknowledgements
    world.py       one run: lives of the daemon one after the other, chaos, then a quiet phase
    witness.py     what was seen from outside and read from the database
    messages.py    what arrives at the sinks: digests, stories, how often
    itself.py      the monitor's own network, and what it tells of itself
    model.py       the thresholds of PRODUCT section 1, written a second time, another way
    uptime.py      uptime, written a second time, another way
    policy.py      who is told what, and when
    invariants.py  what must hold, one function each, in one table
    ledger.py      the log of events: its digest, and the story of a run that failed

Everything from `monitor.daemon` down is production code. Nothing here may use a thread: simulated time jumps while
one runs.
"""
