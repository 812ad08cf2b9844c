"""The port, kept by a directory a pool."""
