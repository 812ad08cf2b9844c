"""Moving VMs to other hosts, running, paused or stopped; and draining hosts."""
