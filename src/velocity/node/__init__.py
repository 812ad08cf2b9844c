"""A host whose ports are served to a controller on another one, and kept from afar."""

import os

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
"""Before gRPC is loaded: else each stranger who connects writes a line into the log."""
