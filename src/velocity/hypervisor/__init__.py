"""What runs machines: the port, QEMU behind it, and a fake with the same behaviour."""
