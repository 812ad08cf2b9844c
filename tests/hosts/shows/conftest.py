"""What the shows of several hosts need: root. The long ones are left out without `--hosts` (tests/conftest.py)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.namespaces import RealHosts, real_hosts
from tests.root import only_root


@pytest.fixture(autouse=True)
def _root() -> None:
    only_root("hosts in namespaces")


@pytest.fixture
def place() -> Iterator[Path]:
    """The disks of hosts: with a short path, as sockets lie there."""
    made = Path(tempfile.mkdtemp(prefix="vel-hosts-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="package")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealHosts]:
    """A server on a and a node on b, which shows leave as they were."""
    with real_hosts(tmp_path_factory.mktemp("hosts"), "a", "b") as made:
        made.serve()
        made.join("b")
        yield made


@pytest.fixture
def hosts(kept: RealHosts) -> Iterator[RealHosts]:
    """Those that are kept up, without VMs."""
    yield kept
    kept["b"].heal()
    kept.until("b", "online")
    for vm in kept.client.list_vms(gid=0).vms:
        kept.client.set_vm_state(vmid=vm.vmid, state="STOPPED", force=True)
        kept.client.delete_vm(vmid=vm.vmid)
    assert kept.running() == {}
