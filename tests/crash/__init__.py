"""Crashes: the server, or its database, is killed at named points and at random, and what it shows then must be true.

`make crash` runs the whole matrix, `test_short.py` a short form of it. `docs/reliability.md` says what is looked at.
"""
