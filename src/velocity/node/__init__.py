"""Serves a host's hypervisor and storage to a controller on another machine, and uses them from there."""

import os

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
"""Before gRPC is loaded: otherwise it logs a line for each connection of a stranger."""
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
"""Before, too: otherwise gRPC restarts its threads in each process that is forked to run a program. They find their
descriptors closed, and now and then abort that process. https://grpc.github.io/grpc/core/md_doc_fork_support.html
"""
