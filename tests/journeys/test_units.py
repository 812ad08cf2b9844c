"""The units as a systemd runs them: guests outlive whatever happens to the server, and end in order with the host."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import certificate
from tests.journeys.server import PASSWORD, Server, free_port
from tests.journeys.systemd import Manager
from tests.patience import at_last
from velocity.cli import own_server
from velocity.client import Client, Unreachable
from velocity.config import Settings

VELOCITY = Path(sys.executable).with_name("velocity")
SERVER, GUESTS = "velocity.service", "velocity-guests.service"
BEYOND_A_USERS_MANAGER = ("ProtectKernelLogs=no", "ProtectKernelTunables=no")
"""Lines for which only the system's manager has the nodes that it lays over what it hides."""


def installed(place: Path, runtime: Path, manager: Manager) -> str:
    """The units for settings that stand in a file alone, with all that is taken from the server; its address."""
    address = f"127.0.0.1:{free_port()}"
    config = place / "velocity.toml"
    config.write_text(f'listen = "{address}"\nruntime_dir = "{runtime}"\nroot_password = "{PASSWORD}"\n'
                      f'data_dir = "{place}/data"\n')  # fmt: skip
    words = ["service", "install", "--config", str(config), "--directory", str(manager.units)]
    subprocess.run([VELOCITY, *words], check=True, capture_output=True)
    said_in(place, manager)
    return f"http://{address}"


def said_in(place: Path, manager: Manager) -> None:
    """What the units say goes into files there."""
    for unit in (SERVER, GUESTS):
        (manager.units / f"{unit}.d").mkdir()
        lines = ["[Service]", f"StandardError=append:{place}/{unit}.log", *BEYOND_A_USERS_MANAGER]
        (manager.units / f"{unit}.d" / "said.conf").write_text("\n".join(lines))


def scope_of(pid: int) -> str:
    """The unit that the process is in."""
    groups = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return next(line for line in groups if "name=systemd" in line or line.startswith("0::/")).rpartition("/")[2]


@contextlib.contextmanager
def signed_in(url: str) -> Iterator[Client]:
    with Client(url) as client:
        end = time.monotonic() + 60
        while client.authkey is None:
            try:
                client.authkey = client.sign_in(name="root", password=PASSWORD).authkey
            except Unreachable:
                assert time.monotonic() < end
                time.sleep(0.05)
        yield client


@pytest.mark.holds("GUEST-4", "ISOLATION-12")
@pytest.mark.guest
def test_guests_outlive_a_restart_and_a_reload_and_end_before_the_host(tmp_path: Path, runtime: Path) -> None:
    manager = Manager(tmp_path, runtime)
    url = installed(tmp_path, runtime, manager)
    with manager.running():
        manager.ok("start", SERVER, GUESTS)
        with signed_in(url) as client:
            vmid = client.create_vm(name="vm", gid=0, cpus=1, memory_mib=64).vmid
            client.set_vm_state(vmid=vmid, state="PAUSED")
            isolation = client.show_vm(vmid=vmid).isolation
            assert isolation
            # systemd gives no bound of memory where control groups have version 1, or two versions.
            gaps = [gap for gap in isolation.gaps if not gap.startswith("its memory is not limited")]
            assert gaps == [], "all of it holds under what the unit takes away"
        guests, first = Server(tmp_path / "data").processes(), manager.shown(SERVER, "MainPID")
        scope = scope_of(*guests)
        assert manager.shown(scope, "ActiveState") == "active"
        asked = [manager.shown(scope, what) for what in ("Slice", "MemoryMax", "TasksMax", "CPUWeight")]
        assert asked == ["velocity.slice", str((64 + 16 + 1024 + 256) << 20), "1024", "100"]

        manager.ok("restart", SERVER)
        with signed_in(url) as client:
            second = manager.shown(SERVER, "MainPID")
            assert second != first
            assert client.vm_state(vmid=vmid).state.value == "PAUSED"
            manager.ok("reload", SERVER)
            at_last(lambda: "nothing to reload" in (tmp_path / f"{SERVER}.log").read_text(), "what it says")
            assert manager.shown(SERVER, "MainPID") == second
            assert client.vm_state(vmid=vmid).state.value == "PAUSED"
        assert Server(tmp_path / "data").processes() == guests, "the same process all the time"
        assert scope_of(*guests) == scope, "which is none of the server's"
        assert not (tmp_path / f"{GUESTS}.log").exists() or not (tmp_path / f"{GUESTS}.log").read_text()

        manager.ok("start", "shutdown.target")
        assert [manager.shown(one, "ActiveState") for one in (SERVER, GUESTS)] == ["inactive"] * 2
        assert manager.shown(GUESTS, "Result") == "success"
        assert (tmp_path / f"{GUESTS}.log").read_text() == "asked vm to shut down\n", "and the server still heard it"
        assert Server(tmp_path / "data").processes() == []
        at_last(lambda: manager.shown(scope, "LoadState") == "not-found", "the end of its scope")


@pytest.mark.holds("GUEST-27")
@pytest.mark.guest
def test_units_of_any_path_with_tls_and_settings_of_the_environment(tmp_path: Path, runtime: Path) -> None:
    """A start that fails is said to fail and tried again, no signal ends what it should not, and guests of a server
    that has ended are asked all the same."""
    manager = Manager(tmp_path, runtime)
    place = tmp_path / 'an "odd" \\ $HOME 100% höchst place'
    program = tmp_path / "the $HOME of a höchst 100% good program" / "velocity"
    for one in (place, program.parent):
        one.mkdir()
    program.symlink_to(VELOCITY)
    cert, key = certificate("vm.example.org").write(place)
    key.rename(place / "later.pem")
    settings = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path),
        "VELOCITY_LISTEN": f"127.0.0.1:{free_port()}", "VELOCITY_DATA_DIR": "data",
        "VELOCITY_RUNTIME_DIR": str(runtime), "VELOCITY_TLS_CERT": cert.name, "VELOCITY_TLS_KEY": key.name,
        "VELOCITY_POOLS": '[{mpid=4, name="p \\"ü\\" $1", path="a pool"}]', "VELOCITY_ROOT_PASSWORD": PASSWORD,
    }  # fmt: skip
    words = [str(program), "service", "install", "--directory", str(manager.units)]
    said = subprocess.run(words, env=settings, cwd=place, check=True, capture_output=True, text=True)
    assert "VELOCITY_ROOT_PASSWORD is left out" in said.stderr
    assert PASSWORD not in (manager.units / SERVER).read_text()
    said_in(tmp_path, manager)
    own = Settings(data_dir=place / "data")

    with manager.running():
        with pytest.raises(AssertionError):
            manager.ok("start", SERVER)
        assert f"tls_key: {key} cannot be read" in (tmp_path / f"{SERVER}.log").read_text()
        (place / "later.pem").rename(key)
        for command in said.stdout.splitlines()[0].split(" && "):
            manager.ok(*command.removeprefix("systemctl ").split())
        with own_server.way(own) as way, Client("here", own.key_file.read_text().strip(), uds=way) as client:
            assert [pool.name for pool in client.list_pools(gid=0).pools] == ['p "ü" $1'], "it serves at once"
            vmid = client.create_vm(name="vm", gid=0, cpus=1, memory_mib=64).vmid
            client.set_vm_state(vmid=vmid, state="PAUSED")
        server, guests = manager.shown(SERVER, "MainPID"), Server(place / "data").processes()
        for number in ("USR1", "USR2", "PIPE", "HUP"):
            manager.ok("kill", "--kill-who=main", "--signal", number, SERVER)
        with own_server.way(own) as way, Client("here", own.key_file.read_text().strip(), uds=way) as client:
            assert client.vm_state(vmid=vmid).state.value == "PAUSED"
        assert manager.shown(SERVER, "MainPID") == server, "no signal of these ends it"
        at_last(lambda: "the certificate was renewed" in (tmp_path / f"{SERVER}.log").read_text())
        manager.ok("kill", "--kill-who=main", "--signal", "QUIT", SERVER)
        at_last(lambda: manager.shown(SERVER, "ActiveState") == "inactive")
        assert "1 guest still running" in (tmp_path / f"{SERVER}.log").read_text()
        assert Server(place / "data").processes() == guests

        manager.ok("start", "shutdown.target")
        assert manager.shown(GUESTS, "Result") == "success"
        assert "which had not begun to run" in (tmp_path / f"{GUESTS}.log").read_text()
        assert Server(place / "data").processes() == []
        assert list(tmp_path.rglob("*.wants/velocity*.service")) != [], "they are enabled"
        words = [str(program), "service", "uninstall", "--user", "--directory", str(manager.units)]
        subprocess.run(words, env={"HOME": str(tmp_path)}, check=True, capture_output=True)
        assert list(tmp_path.rglob("*.wants/velocity*.service")) == []
        manager.ok("daemon-reload")
        assert manager.shown(SERVER, "LoadState") == "not-found"
