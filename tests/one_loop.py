"""One event loop for all tests of a package, for those that use gRPC.

Its events come from one queue of the process; what a call of one test has left there would be an error in the loop of
the next one, as its own loop is closed. A server has one loop.
"""

from __future__ import annotations

import pytest


@pytest.fixture(scope="package")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="package", autouse=True)
async def one_loop(anyio_backend: str) -> None:
    """What is asked for by a whole package keeps the loop as long."""
