"""What executes machines: the port, QEMU behind it, and a fake that keeps the same law."""
