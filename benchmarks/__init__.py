"""Benchmarks: what the monitor costs, side by side with its peers. `make bench` runs them; see `run`."""
