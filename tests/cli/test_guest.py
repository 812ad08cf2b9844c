"""`velocity vm guest`, `exec`, `cp`, `passwd`, `ssh-key`, `freeze` and `thaw`: over an agent that a test plays."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.host import Host
from velocity.hypervisor.fake import FakeAgent
from velocity.hypervisor.port import HypervisorError


@pytest.fixture
def agent(host: Host) -> FakeAgent:
    """Of the only VM, which is called web and runs."""
    host.ok("vm", "create", "web", "--memory", "64M")
    host.ok("vm", "start", "web")
    made = FakeAgent()
    (machine,) = host.hypervisor.runs
    host.hypervisor.guests.agents[machine] = made
    return made


def asked(host: Host) -> list[tuple[str, Any]]:
    return [(command, given) for _, command, given in host.hypervisor.guests.asked]


def test_what_it_tells(host: Host, agent: FakeAgent) -> None:
    agent.tells["guest-get-host-name"] = {"host-name": "pen\x1b[2Jguin"}
    lines = [line.split(maxsplit=1) for line in host.ok("vm", "guest", "web").splitlines()]
    assert ["host", "name     pen\ufffd[2Jguin"] in lines
    assert ["NIC", "eth0 52:54:00:12:34:56 10.0.2.15/24"] in lines
    assert ["file", "system   / ext4, 1.0 GiB of 4.0 GiB"] in lines
    assert json.loads(host.ok("vm", "guest", "web", "--json"))["agent"] == "7.2.0"
    host.hypervisor.guests.agents.clear()
    refused = host.run("vm", "guest", "web")
    assert refused.exit_code == 1 and "qemu-guest-agent" in refused.stderr


@pytest.mark.holds("CLI-34")
def test_a_program_has_its_words_its_input_and_its_exit_status(host: Host, agent: FakeAgent) -> None:
    assert host.run("vm", "exec", "web", "ls", "-l", "--", "x y").stdout == "ls -l -- x y"
    assert host.run("vm", "exec", "web", "--", "cat", typed="in\n").stdout == "in\n"
    assert asked(host)[-2][1]["path"] == "cat", "what only ends the options is no program"
    agent.ended = {"exited": True, "exitcode": 3, "err-data": base64.b64encode(b"no\xff").decode()}
    ended = host.run("vm", "exec", "web", "false")
    assert (ended.exit_code, ended.stderr_bytes) == (3, b"no\xff")
    agent.ended = {"exited": True, "signal": 9}
    assert host.run("vm", "exec", "web", "x").exit_code == 137
    agent.ended = {"exited": False}
    ended = host.run("vm", "exec", "--timeout", "1", "web", "x")
    assert ended.exit_code == 124 and "continues in the guest" in ended.stderr
    host.run("vm", "exec", "--timeout", "1", "web", "x", "--plan")
    begun = [given for command, given in asked(host) if command == "guest-exec"]
    assert begun[-1]["arg"] == ["--plan"], "what follows the VM is the guest's"


def test_too_much_input_is_refused_with_the_cure(host: Host, agent: FakeAgent) -> None:
    refused = host.run("vm", "exec", "web", "cat", typed="x" * (512 << 10) + "x")
    assert refused.exit_code == 1 and "vm cp" in refused.stderr
    assert asked(host) == []


@pytest.mark.holds("CLI-35")
def test_a_file_goes_in_and_comes_out_whole(host: Host, agent: FakeAgent, tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    source, target = tmp_path / "source", tmp_path / "out"
    source.write_bytes(content)
    target.mkdir()
    host.ok("vm", "cp", str(source), "web:/etc/")
    assert agent.files["/etc/source"] == content
    host.ok("vm", "cp", "web:/etc/source", str(target))
    assert (target / "source").read_bytes() == content
    source.write_bytes(b"")
    host.ok("vm", "cp", str(source), "id:1:/etc/source")
    assert agent.files["/etc/source"] == b""
    assert agent.handles == 0
    assert host.run("vm", "cp", "web:/a", "web:/b").exit_code == 2
    assert host.run("vm", "cp", str(tmp_path / "nothing"), "web:/b").exit_code == 1


@pytest.mark.holds("CLI-35")
def test_a_copy_that_is_cut_says_what_is_left(host: Host, agent: FakeAgent, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(1 << 20))
    (machine,) = host.hypervisor.runs
    pieces = 0

    def full(command: str, given: Any) -> Any:
        nonlocal pieces
        pieces += command in ("guest-file-write", "guest-file-read")
        if pieces > 1:
            raise HypervisorError("No space left on device")
        return agent(command, given)

    into = host.run("vm", "cp", str(tmp_path), "web:/a b")
    assert into.exit_code == 1 and f"`tar -cC {tmp_path} . | velocity vm ssh VM -- tar -xC '/a b'`" in into.stderr
    host.hypervisor.guests.agents[machine] = full
    cut = host.run("vm", "cp", str(source), "web:/big")
    assert cut.exit_code == 1 and "No space left" in str(cut.exception)
    assert "only the first 524288 bytes are in the guest's /big" in getattr(cut.exception, "__notes__", [""])[0]
    host.hypervisor.guests.agents[machine] = agent
    agent.files["/big"] = bytearray(3 << 20)
    pieces = 0
    host.hypervisor.guests.agents[machine] = full
    assert host.run("vm", "cp", "web:/big", str(tmp_path / "out")).exit_code == 1
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["source"], "nothing of it is left here"


def test_a_password_and_keys(host: Host, agent: FakeAgent, tmp_path: Path) -> None:
    host.ok("vm", "passwd", "web", "root", "--password-stdin", typed="hush hush\n")
    keys = tmp_path / "keys.pub"
    keys.write_text("# mine\nssh-ed25519 AAAA me\n\n")
    host.ok("vm", "ssh-key", "add", "web", "root", str(keys))
    password = base64.b64encode(b"hush hush").decode()
    assert asked(host) == [
        ("guest-set-user-password", {"username": "root", "password": password, "crypted": False}),
        ("guest-ssh-add-authorized-keys", {"username": "root", "keys": ["ssh-ed25519 AAAA me"]}),
    ]
    keys.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n")
    refused = host.run("vm", "ssh-key", "add", "web", "root", str(keys))
    assert refused.exit_code == 1 and ".pub" in refused.stderr
    keys.write_text("\n")
    assert host.run("vm", "ssh-key", "add", "web", "root", str(keys)).exit_code == 1


@pytest.mark.holds("GUEST-90")
def test_a_command_runs_while_the_guest_is_frozen(host: Host, agent: FakeAgent, tmp_path: Path) -> None:
    assert "1 file system frozen, for 60 s at most" in host.ok("vm", "freeze", "web")
    assert "frozen until" in host.ok("vm", "show", "web")
    assert "1 file system thawed" in host.ok("vm", "thaw", "web")
    assert "frozen until" not in host.ok("vm", "show", "web")
    made = tmp_path / "made"
    said = host.run("vm", "freeze", "web", "--", "sh", "-c", f"echo >{made}; exit 3")
    assert (said.exit_code, made.exists(), agent.frozen) == (3, True, 0)
    refused = host.run("vm", "freeze", "web", "--", "./no-such-program")
    assert (refused.exit_code, agent.frozen) == (1, 0) and "no-such-program: No such file" in refused.stderr
    host.ok("vm", "freeze", "web", "--plan", "--", "rm", str(made))
    assert made.exists(), "a plan runs nothing"
    host.hypervisor.guests.agents[next(iter(host.hypervisor.runs))] = lambda command, given: (
        0 if command == "guest-fsfreeze-thaw" else agent(command, given)
    )
    torn = host.run("vm", "freeze", "web", "--", "true")
    assert torn.exit_code == 1 and "thawed before the command had ended" in torn.stderr
