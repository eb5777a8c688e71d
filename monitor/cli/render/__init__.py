"""Results of one-shot checks as `--format` asks: lines for people, live lines on a terminal, one JSON object."""
