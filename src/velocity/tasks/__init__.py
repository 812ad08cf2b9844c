"""Work that takes longer than a moment: what it is, how far it has come, and how it ended."""
