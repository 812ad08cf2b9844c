"""What machines and their host take: measured, and kept for an hour and a day."""
