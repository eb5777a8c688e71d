"""`make crash`: the real process, killed at random, many times."""
