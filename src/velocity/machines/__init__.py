"""Virtual machines: what they are made of, their states, and the keeper of each one."""
