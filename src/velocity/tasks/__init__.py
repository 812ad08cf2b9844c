"""Long work: tasks, their progress, and how they ended."""
