"""`velocity media show`, `set`, `move`, `convert` and `compact`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.host import Host, hosting
from velocity.config import PoolSetting


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
    assert refused.exit_code == 1 and "cannot shrink" in str(refused.exception)
    host.ok("media", "set", "system", "--readonly", "--type", "IPSW")
    assert "it is read-only" in host.ok("media", "show", "system")
    host.ok("media", "set", "system", "--writable")
    assert json.loads(host.ok("media", "set", "system", "--writable", "--json"))["waiting"] == []


@pytest.mark.holds("CLI-33")
def test_a_medium_is_moved_converted_and_compacted(tmp_path: Path) -> None:
    pools = [PoolSetting(mpid=one, name=name, path=tmp_path / name) for one, name in ((1, "default"), (2, "fast"))]
    with hosting(tmp_path / "data", pools=pools) as host:
        host.ok("media", "create", "sys", "--size", "1M")
        mid = json.loads(host.ok("media", "show", "sys", "--json"))["mid"]
        assert host.run("media", "move", "sys").exit_code == 2
        assert host.ok("media", "move", "sys", "--to-pool", "fast").split() == [mid]
        assert "fast (2)" in host.ok("media", "show", "sys")
        host.ok("group", "create", "team")
        host.ok("pool", "assign", "fast", "team", "--write", "--manage")
        host.ok("media", "move", "sys", "--to", "team")
        host.ok("media", "convert", "sys", "raw", "--group", "team")
        assert "raw" in host.ok("media", "show", "sys")
        host.ok("media", "compact", "sys")
        assert host.ok("media", "convert", "sys", "qcow2", "--detach").strip().isdigit()
