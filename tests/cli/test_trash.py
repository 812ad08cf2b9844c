"""Emptying the trash from the command line: a task of the server's, whose end is shown."""

from __future__ import annotations

import json

import pytest

from tests.host import Host


@pytest.mark.holds("CLI-24")
def test_the_trash_is_emptied_by_a_task_whose_end_is_shown(host: Host) -> None:
    for name in ("a", "b", "c"):
        host.ok("media", "create", name, "--size", "1M")
        host.ok("media", "rm", name)
    assert host.ok("trash", "empty", "--plan").count("would purge medium") == 3
    host.ok("trash", "rm", "c")
    tid = host.ok("trash", "empty", "--yes", "--detach").strip()
    shown = host.run("task", "wait", f"id:{tid}")
    assert (shown.stdout, shown.exit_code) == ("", 0)
    assert "removed 2 of 2 items (2.0 MiB)" in shown.stderr
    assert json.loads(host.ok("--json", "trash", "list")) == {"items": []}
    task = json.loads(host.run("trash", "empty", "--yes", "--json").stdout)
    assert (task["kind"], task["state"], task["total"]) == ("empty", "DONE", 0)
