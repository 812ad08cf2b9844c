"""How a VM moves to another host: running or paused as it is, or stopped; and how hosts are drained."""
