"""Where media and machines' files are stored: a port and its implementations."""
