"""The hosts of VMs: who watches them, what VMs keep there, and what happens when a host comes, goes or is lost."""
