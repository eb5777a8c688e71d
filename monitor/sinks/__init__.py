"""The built-in sinks, one file per kind: plugins like anybody's, met through the entry points `monitor.sinks`."""
