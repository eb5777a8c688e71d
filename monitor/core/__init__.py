"""The part that decides: pure values and pure functions.

Nothing here imports trio, does I/O, reads a clock or rolls dice; whatever is needed of those
comes in as an argument, so that every rule can be tested as a table.
"""
