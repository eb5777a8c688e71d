"""Pure tests: tables and properties, without time, threads or sockets."""

from hypothesis import settings

# Hypothesis would fail an example that took long on a busy machine; nothing here is about time.
settings.register_profile("pure", deadline=None)
settings.load_profile("pure")
