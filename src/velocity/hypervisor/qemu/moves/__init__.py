"""Live migration: machines of this host that move to another one while they run, and those that arrive."""
