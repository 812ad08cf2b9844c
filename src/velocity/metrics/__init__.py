"""Resource use of machines and hosts: measured, and kept for up to a year."""
