"""Hostile servers: a table of behaviours, run all at once beside healthy endpoints; `make hostile` prints what came."""
