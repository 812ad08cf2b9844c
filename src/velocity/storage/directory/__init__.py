"""The storage port, implemented with a directory for each pool."""
