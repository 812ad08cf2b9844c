"""`velocity media show` and `set`."""

from __future__ import annotations

import json

import pytest

from tests.host import Host


@pytest.mark.holds("CLI-28")
def test_a_medium_is_shown_renamed_and_grown(host: Host) -> None:
    host.ok("media", "create", "sys", "--size", "10M")
    host.ok("vm", "create", "web", "--memory", "64M", "--media", "sys:block")
    shown = host.ok("media", "show", "sys")
    for words in (
        "10.0 MiB (10485760 bytes)",
        "qcow2, clusters of 128 KiB",
        "default (1)",
        "web (vmid 1)",
        "boots  ",
    ):
        assert words in shown, shown
    assert "size" in host.ok("media", "set", "sys", "--size", "+10M", "--plan")
    assert "sys is changed" in host.ok("media", "set", "sys", "--name", "system", "--size", "+10M")
    one = json.loads(host.ok("media", "show", "system", "--json"))
    assert (one["name"], one["size"], one["readonly"]) == ("system", 20 << 20, False)
    refused = host.run("media", "set", "system", "--size", "1M")
    assert refused.exit_code == 1 and "does not become smaller" in str(refused.exception)
    host.ok("media", "set", "system", "--readonly", "--type", "IPSW")
    assert "it is read-only" in host.ok("media", "show", "system")
    host.ok("media", "set", "system", "--writable")
    assert json.loads(host.ok("media", "set", "system", "--writable", "--json"))["waiting"] == []
