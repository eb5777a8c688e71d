"""Other processes: started without a pause of the loop, bounded, and ended with everything they started.

    the monitor ── starter ─→ zygote ──fork─→ keeper ──fork─→ a program, or a function of ours

Three roles, because none can do the work of another. The *zygote* is small and has one thread, so that it may fork
whenever it is asked to. A *keeper* is the subreaper (prctl(2)) above one process and all that it starts, so that
what daemonizes ends up below it: it kills until the kernel says that there are no children left. The monitor holds
each keeper's leash: a socket. When it is let go, also because the monitor is gone, the keeper ends all that is below
it, and itself. Secrets go over the leash to the keeper, never through the zygote, of whose memory others are made.

`starter` is the monitor's side. The others run in processes of their own, import next to nothing, and know no Trio.
"""
