"""The hosts of VMs: which of them one is placed on, what it keeps there, and what happens when a host is lost."""
