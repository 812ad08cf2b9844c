"""What happens, told to whoever may see it: one ring for all, and readers that are cursors in it."""
