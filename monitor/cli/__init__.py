"""The command line: click commands, one thin module each, and the renderers behind `--format`.

root        the group; finds a command's module when it is asked for
options     what several commands take
outcome     exit codes, and errors as sentences on stderr
client      asks a running daemon
terminal    what stdout can show: colour, symbols, size
render/     results as text, as JSON, and live on a terminal

A command's module defines `command`. What it needs beyond click is imported when it runs: `monitor --help` pays for
none of it, and `monitor validate` never for trio or httpx.
"""
