"""What was deleted and can still be had back."""
