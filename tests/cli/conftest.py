"""What the tests of the command line share."""

from __future__ import annotations

import pytest

from tests.host import Host


@pytest.fixture
def teams(host: Host) -> Host:
    """Two teams with a share of the pool each, as root sees them."""
    for name in ("red", "blue"):
        host.ok("group", "create", name)
        host.ok("pool", "assign", "1", name, "--write", "--manage")
    return host
