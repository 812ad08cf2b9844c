"""`velocity host`, `velocity vm metrics` and `velocity vm command`, through HTTP."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.host import Host, hosting
from tests.metrics.times import Hands
from velocity.cli.metrics import sparkline
from velocity.hypervisor.port import Traffic
from velocity.sizes import duration


def test_the_host(host: Host) -> None:
    host.ok("vm", "create", "vm", "--memory", "64M")
    shown = host.ok("host", "show")
    assert "fake 1.0" in shown and "1, 0 of them running" in shown and "0.50, 0.25, 0.12" in shown
    assert "1 d 0 h" in shown and "4.0 GiB, 4.0 GiB of it free" in shown
    assert "default" in shown and "ALLOCATED" in shown
    assert json.loads(host.ok("host", "show", "--json"))["vms"] == {"running": 0, "total": 1}
    assert (duration(7260), duration(125)) == ("2 h 1 min", "2 min")


def test_the_metrics_of_a_vm(host: Host) -> None:
    host.ok("vm", "create", "vm", "--memory", "64M")
    idle = host.run("vm", "metrics", "vm")
    assert (idle.exit_code, idle.stdout) == (0, "")
    assert "was not running" in idle.stderr
    host.ok("vm", "start", "vm")
    (run,) = host.hypervisor.runs.values()
    for cpu in (0, 1, 11, 12):
        assert run.usage is not None
        run.usage = replace(run.usage, cpu=float(cpu), net=Traffic(cpu * 40_960, 0))
        host.look()
    shown = host.ok("vm", "metrics", "vm").splitlines()
    lines = {line[:12].strip(): line for line in shown}
    assert lines["cpu"].split() == ["cpu", "▂█▂", "10.0", "%", "40.0", "%", "100.0", "%"]
    assert lines["net received"].split()[-2:] == ["40.0", "KiB/s"]
    (memory,) = (line for line in shown if line.startswith("memory, of 64.0 MiB given"))
    assert memory.removeprefix("memory, of 64.0 MiB given").split()[0] == "████"
    assert json.loads(host.ok("vm", "metrics", "vm", "--json"))["cpu"] == [None, 10, 100, 10]
    assert json.loads(host.ok("vm", "metrics", "vm", "--day", "--json"))["interval"] == 120
    assert host.run("vm", "metrics", "nobody").exit_code == 4


@pytest.mark.holds("CLI-43")
def test_how_long_vms_run_is_listed_and_shown(tmp_path: Path) -> None:
    columns = ("vm", "list", "--columns", "name,uptime", "--no-headings")
    with hosting(tmp_path / "data", hands=Hands(time.time())) as host:
        for name in ("idle", "vm"):
            host.ok("vm", "create", name, "--memory", "64M")
        assert host.ok(*columns).split() == ["idle", "vm"]
        host.ok("vm", "start", "vm")
        (run,) = host.hypervisor.runs.values()
        assert run.usage is not None
        run.usage = replace(run.usage, age=7300.0)
        host.look()
        assert [line.split(None, 1) for line in host.ok(*columns).splitlines()] == [["idle"], ["vm", "2 h 1 min"]]
        assert "2 h 1 min" in host.ok("vm", "show", "vm") and "up for" not in host.ok("vm", "show", "idle")


def test_sparklines_show_gaps_and_fit() -> None:
    assert sparkline([0, None, 50, 100], 10) == "▁ ▅█"
    assert sparkline([None] * 5, 10) == "     "
    assert sparkline([0, 0], 10) == "▁▁"
    line = sparkline([float(number) for number in range(360)], 60)
    assert len(line) == 60 and line[0] == "▁" and line[-1] == "█"
    assert len(sparkline([1.0] * 361, 60)) <= 60


def test_the_command_of_a_vm(host: Host) -> None:
    host.ok("vm", "create", "vm", "--memory", "64M")
    assert host.run("vm", "command", "vm").exit_code == 1
    host.ok("vm", "start", "vm")
    shown = host.ok("vm", "command", "vm").splitlines()
    assert [line.split()[0] for line in shown] == ["fake", "-uuid", "-pidfile"]
    assert shown[0].endswith(" \\") and shown[-1].strip() == "-pidfile RUN/pid"
    argv = json.loads(host.ok("vm", "command", "vm", "--json"))["argv"]
    assert argv[0] == "fake"
    assert "set_vm_state" in host.ok("history", "--vm", "vm")
    assert "sign_in" in host.ok("history") and "sign_in" not in host.ok("history", "--vm", "1")
