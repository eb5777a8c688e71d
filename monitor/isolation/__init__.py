"""`isolation = "process"`: a check in a process of its own, which is killed with all that it started.

    Workers (in the monitor)                      worker (below a keeper, see `monitor.processes`)
      look ── the endpoint, once ─────────────→     its check is made anew, of the same options
           ── probe ──────────────────────────→     `probing.probe_once`, as it runs everywhere
           ←─ phase … observation ────────────      without a mask: only its own secrets are known there

A worker serves one endpoint and stays warm for as long as its check answers in time. Whatever else happens, an overrun,
a crash, a process that was left behind, it is killed, and the next probe gets a new one. What goes there is pickled;
what comes back is JSON that is read as anything from outside is.
"""
