"""A host whose ports are served to a controller on another machine, and used from there."""

import os

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
"""Before gRPC is loaded: else each stranger who connects writes a line into the log."""
