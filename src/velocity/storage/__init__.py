"""Storage of media and of machines' files: a port, and its implementations."""
