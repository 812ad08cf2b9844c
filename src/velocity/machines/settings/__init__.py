"""The settings of VMs: which are allowed, what they claim, and what they become for the hypervisor."""
