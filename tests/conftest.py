"""Settings of all tests: laws are tried on the same examples each time, at any speed."""

from hypothesis import settings

settings.register_profile("same-each-time", deadline=None, derandomize=True)
settings.load_profile("same-each-time")
