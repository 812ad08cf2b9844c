"""Resource use of VMs and hosts: measured, and kept for up to a year."""
