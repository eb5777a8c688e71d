"""The built-in checks, one file per kind, written against `monitor.api` as a stranger's would be."""
