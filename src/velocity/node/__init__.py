"""Serves a host's hypervisor and storage to a controller on another machine, and uses them from there."""

import os

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
"""Before gRPC is loaded: otherwise it logs a line for each connection of a stranger."""
