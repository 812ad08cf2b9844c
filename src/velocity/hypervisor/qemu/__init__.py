"""The driver of QEMU on one host: processes that outlive the server, driven over QMP, ended and adopted by facts."""
