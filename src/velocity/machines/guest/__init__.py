"""What is asked of a running guest: its agent, its file systems and its addresses."""
