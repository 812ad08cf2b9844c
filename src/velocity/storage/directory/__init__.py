"""The storage port, with a directory for each pool."""
