"""The verbs of the command line, through HTTP."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import click
import pytest

from tests.api.world import PASSWORD
from tests.host import Host
from velocity.cli.amounts import to_bytes
from velocity.cli.main import VERBS, Velocity, velocity
from velocity.cli.words import clean


def test_every_verb_can_be_asked_for_help(host: Host) -> None:
    for verb in VERBS:
        assert "Usage:" in host.ok(verb, "--help")
    assert "Exit status" in host.ok("--help")
    assert isinstance(velocity, Velocity)


def test_a_vm_from_its_media_to_its_removal(host: Host, tmp_path: Path) -> None:
    image = tmp_path / "install.iso"
    image.write_bytes(b"no iso at all")
    uploaded = host.run("media", "upload", str(image))
    assert uploaded.exit_code == 0
    assert "contains no ISO 9660" in uploaded.stderr
    host.ok("media", "create", "system", "--size", "2M", "--format", "qcow2")
    listed = host.ok("media", "list")
    assert "install.iso" in listed
    assert "2.0 MiB" in listed
    made = host.ok(
        "vm", "create", "web", "--memory", "64M", "--display", "left=800x600", "--display", "640x480",
        "--media", "system:block", "--media", "install.iso:usb:ro", "--nic", "nat",
    )  # fmt: skip
    assert made.splitlines()[0] == "1"
    shown = json.loads(host.ok("vm", "show", "web", "--json"))
    assert [one["name"] for one in shown["displays"]] == ["left", "display1"]
    assert [(one["mode"], one["readonly"]) for one in shown["media"]] == [("BLOCK", False), ("USB", True)]
    assert "web is RUNNING" in host.ok("vm", "start", "web")
    assert "web is PAUSED" in host.ok("vm", "pause", "web")
    assert "1 is RUNNING" in host.ok("vm", "resume", "1"), "ids do as well"
    assert "web is RUNNING" in host.ok("vm", "reset", "web")
    assert "RUNNING" in host.ok("vm", "list")
    assert host.run("vm", "rm", "web").exit_code == 1
    assert "web is STOPPED" in host.ok("vm", "stop", "web")
    host.ok("vm", "rm", "web")
    host.ok("media", "rm", "system")
    assert json.loads(host.ok("media", "rm", "install.iso", "--json")) == {}
    assert json.loads(host.ok("--json", "media", "list")) == {"media": []}


def test_a_guest_that_does_not_hear_the_button(host: Host) -> None:
    host.hypervisor.faults.deaf = True
    host.ok("vm", "create", "deaf", "--memory", "64M")
    host.ok("vm", "start", "deaf")
    patient = host.run("vm", "stop", "deaf", "--timeout", "0.5")
    assert patient.exit_code == 1
    assert "--force" in str(patient.stderr)
    assert "deaf is STOPPED" in host.ok("vm", "stop", "deaf", "--force")


def test_exit_statuses(host: Host) -> None:
    assert host.run("vm", "show", "nobody").exit_code == 4
    assert host.run("vm", "show", "99").exit_code == 4
    assert host.run("vm", "create", "x", "--cpus", "0").exit_code == 1
    assert host.run("vm", "create", "x", "--memory", "much").exit_code == 2
    assert host.run("vm", "create", "x", "--display", "big").exit_code == 2
    assert host.run("vm", "list", VELOCITY_AUTHKEY="wrong").exit_code == 3
    assert host.run("vm", "list", VELOCITY_SERVER="http://127.0.0.1:9").exit_code == 5


def test_login_keeps_a_session_for_this_account_alone(host: Host, tmp_path: Path) -> None:
    without = {**host.environment, "VELOCITY_DATA_DIR": str(tmp_path / "another account's")}
    del without["VELOCITY_AUTHKEY"]
    host.environment = without
    assert host.run("whoami").exit_code == 3
    assert host.run("login", "root", "--password-stdin", typed="wrong\n").exit_code == 3
    host.ok("login", "root", "--password-stdin", typed=PASSWORD + "\n")
    kept = tmp_path / "config" / "velocity" / "session.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "root (uid 0)" in host.ok("whoami")
    host.ok("logout")
    assert host.run("whoami").exit_code == 3


def test_the_key_file_stands_for_root_on_the_servers_own_machine(host: Host) -> None:
    address = host.url.removeprefix("http://")
    host.environment = {
        name: value for name, value in host.environment.items() if name not in ("VELOCITY_AUTHKEY", "VELOCITY_SERVER")
    } | {"VELOCITY_LISTEN": address}
    assert "root (uid 0)" in host.ok("whoami")


def test_any_endpoint(host: Host) -> None:
    assert json.loads(host.ok("api", "POST", "/v/vm/list", '{"gid": 0}')) == {"vms": []}
    assert host.run("api", "POST", "/nothing").exit_code == 4


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(host: Host, shell: str) -> None:
    assert "_VELOCITY_COMPLETE" in host.ok("completion", shell)


def test_passwd_works_on_the_data_only_while_no_server_does(host: Host) -> None:
    busy = host.run("passwd", "--password-stdin", typed="another password\n")
    assert busy.exit_code == 1
    assert "another Velocity server" in busy.stderr


def test_escape_sequences_do_not_reach_the_terminal() -> None:
    assert clean("a\x1b[2Jb\r\n") == "a\ufffd[2Jb\ufffd\ufffd"
    assert clean("Häuser 家") == "Häuser 家"


@pytest.mark.parametrize(("text", "count"), [("10G", 10 << 30), ("512m", 512 << 20), ("7", 7), ("1 KiB", 1024)])
def test_sizes(text: str, count: int) -> None:
    assert to_bytes(text) == count


@pytest.mark.parametrize("text", ["", "G", "1.5G", "-1"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(click.BadParameter):
        to_bytes(text)


def test_the_database_as_a_file(host: Host, tmp_path: Path) -> None:
    host.ok("vm", "create", "web", "--memory", "64M")
    file, draft = tmp_path / "backup", tmp_path / ".backup.new"
    draft.touch(0o644)
    with draft.open() as somebody:
        assert "exported" in host.run("db", "export", str(file)).stderr
        assert somebody.read() == "", "whose draft it was reads nothing"
    assert file.stat().st_mode & 0o777 == 0o600
    elsewhere = {"VELOCITY_DATA_DIR": str(tmp_path / "elsewhere")}
    assert "imported" in host.run("db", "import", str(file), **elsewhere).output
    again = host.run("db", "import", str(file), **elsewhere)
    assert again.exit_code == 1
    assert "not empty" in again.stderr
    busy = host.run("db", "import", str(file))
    assert busy.exit_code == 1
    assert "another Velocity server" in busy.stderr


def test_images_clones_and_downloads(host: Host, tmp_path: Path) -> None:
    raw, image = tmp_path / "disk.raw", tmp_path / "disk.vmdk"
    raw.write_bytes(os.urandom(3 << 20))
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "vmdk", raw, image], check=True)
    host.ok("media", "import", str(image), "--format", "raw")
    assert [one["name"] for one in json.loads(host.ok("media", "list", "--json"))["media"]] == ["disk"], (
        "no upload left"
    )
    (tmp_path / "tool.iso.gz").write_bytes(gzip.compress(bytes(32 << 10) + b"\1CD001" + bytes(5000)))
    host.ok("media", "import", str(tmp_path / "tool.iso.gz"))
    kinds = {one["name"]: one["type"] for one in json.loads(host.ok("media", "list", "--json"))["media"]}
    assert kinds == {"disk": "DISK", "tool.iso": "ISO"}
    host.ok("media", "rm", "tool.iso")
    host.ok("media", "clone", "disk", "copy", "--format", "qcow2")
    host.ok("media", "download", "disk", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == raw.read_bytes()
    again = host.run("media", "download", "disk", str(tmp_path / "back"))
    assert again.exit_code == 1
    assert (tmp_path / "back").exists(), "what was there stays"
    tid = host.ok("media", "clone", "disk", "third", "--detach").strip()
    host.ok("task", "wait", tid)
    assert "DONE" in host.ok("task", "show", tid)
    assert "100%" in host.ok("task", "list", "--sort", "tid")
    assert "DONE" in host.ok("task", "cancel", tid)
    bad = tmp_path / "bad.vmdk"
    bad.write_text("# Disk DescriptorFile")
    refused = host.run("media", "import", str(bad))
    assert "other files" in str(refused.exception)
    assert len(json.loads(host.ok("media", "list", "--json"))["media"]) == 3, "and its upload is removed"


class Cutting(threading.Thread):
    """A proxy in front of the server that cuts the first connections after so many bytes."""

    def __init__(self, port: int, cuts: list[int]) -> None:
        super().__init__(daemon=True)
        self.cuts = cuts
        self.made = 0
        self._server = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server))
            threading.Thread(target=self._carry, args=(server, client, None), daemon=True).start()
            threading.Thread(target=self._carry, args=(client, server, self.cuts), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, cuts: list[int] | None) -> None:
        carried = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                carried += len(data)
                if cuts and carried > cuts[0]:
                    cuts.pop(0)
                    self.made += 1
                    break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        self._listener.close()


def test_an_upload_to_no_server_says_so_at_once(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "a.iso"
    file.write_bytes(b"x")
    begun = time.monotonic()
    assert host.run("media", "upload", str(file), VELOCITY_SERVER="http://127.0.0.1:9").exit_code == 5
    assert time.monotonic() - begun < 20, "patience is for connections that break"


@pytest.mark.holds("DUR-24")
def test_an_upload_that_is_cut_three_times_is_bit_exact(host: Host, tmp_path: Path) -> None:
    data = os.urandom(20 << 20)
    file = tmp_path / "big.iso"
    file.write_bytes(data)
    proxy = Cutting(int(host.url.rpartition(":")[2]), [5 << 20, 3 << 20, 7 << 20])
    proxy.start()
    host.environment = {**host.environment, "VELOCITY_SERVER": f"http://127.0.0.1:{proxy.port}"}
    mid = host.ok("media", "upload", str(file)).splitlines()[0]
    assert proxy.made == 3
    assert (host.data / "media" / f"{mid}.raw").read_bytes() == data
    proxy.close()
