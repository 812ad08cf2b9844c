"""Long work: what it is, its progress, and how it ended."""
