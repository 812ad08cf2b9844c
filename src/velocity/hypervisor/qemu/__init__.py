"""The QEMU driver for one host: a process per machine, controlled over QMP, which keeps running without the server."""
