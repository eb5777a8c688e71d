"""Plugins that do what no plugin should, in both isolations: `make torture` prints what becomes of each."""
