"""The hosts of an installation, as they are called in messages."""

from __future__ import annotations

from velocity.hosts.port import AttachedHost
from velocity.hypervisor.attached import FIRST_HOST, AttachedHosts
from velocity.hypervisor.fake import FakeHypervisor
from velocity.hypervisor.port import HostId
from velocity.storage.fake import connect
from velocity.storage.fake.pools import FakeHost


def test_of_several_hosts_the_silent_one_is_named() -> None:
    a, b = FIRST_HOST, HostId(2)
    driver, storage = FakeHypervisor(), connect(FakeHost())
    hosts = AttachedHosts(AttachedHost(a, "a", driver, storage, ()))
    hosts.put(AttachedHost(b, "b", driver, storage, ()))
    assert hosts.called_silent(b, a) == "host 'a'", "the last, as nothing is known"
    for silent in (a, b):
        hosts.silent = {silent: 0}
        assert hosts.called_silent(a, b) == hosts.called_silent(b, a) == hosts.called(silent)
