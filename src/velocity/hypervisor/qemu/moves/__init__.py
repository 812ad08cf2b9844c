"""Machines of this host that go to another one while they run, and those that come."""
