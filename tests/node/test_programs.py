"""Programs of a process that speaks gRPC: those that are forked, as under another uid."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.root import as_root

BESIDE_GRPC = """
import asyncio, os, subprocess
import velocity.node.remote
import grpc.aio

async def main():
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    await channel.channel_ready()
    own = {"user": os.getuid(), "group": os.getgid(), "extra_groups": []}  # with these Python forks
    ended = [(await asyncio.to_thread(subprocess.run, ["true"], **own)).returncode for _ in range(50)]
    assert ended == [0] * 50, ended
    await channel.close()
    await server.stop(None)

asyncio.run(main())
"""


@pytest.mark.holds("MANY-234")
@as_root("groups of processes")
def test_a_program_that_is_forked_begins_without_grpc() -> None:
    """gRPC says so when it has something to do with a fork, and one of some hundreds of such programs was aborted."""
    done = subprocess.run(
        [sys.executable, "-c", BESIDE_GRPC], env=os.environ | {"GRPC_VERBOSITY": "INFO"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "fork" not in done.stderr
