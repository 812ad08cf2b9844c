"""`velocity vm screen`, `log`, `find` and `console`: through HTTP, and in a terminal where that matters."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.host import Host
from tests.patience import PATIENCE
from velocity.cli import viewer
from velocity.client import Client
from velocity.contract.consoles import Holder, KeyboardStatus


@pytest.fixture
def vm(host: Host) -> str:
    host.ok("vm", "create", "Penguin", "--memory", "64M", "--display", "left=640x200", "--display", "right=320x100")
    host.ok("vm", "start", "Penguin")
    return "Penguin"


def test_pictures_and_their_text(host: Host, vm: str, tmp_path: Path) -> None:
    file = tmp_path / "screen.png"
    host.ok("vm", "screen", vm, "--display", "right", "-o", str(file))
    with Image.open(file) as picture:
        assert picture.size == (320, 100)
    piped = host.run("vm", "screen", vm)
    with Image.open(io.BytesIO(piped.stdout_bytes)) as picture:
        assert picture.size == (640, 200)
    assert "Penguin left" in host.ok("vm", "screen", vm, "--text")
    assert json.loads(host.ok("vm", "screen", vm, "--json"))["display"] == "left"
    assert host.run("vm", "screen", vm, "--display", "middle").exit_code == 1
    found = host.ok("vm", "find", "penguin")
    assert [line.split() for line in found.splitlines()[1:]] == [
        ["1", "Penguin", "left", "Penguin", "left"],
        ["1", "Penguin", "right", "Penguin", "right"],
    ]
    assert "the text was not found on any screen" in host.run("vm", "find", "walrus").stderr
    assert json.loads(host.ok("vm", "find", "walrus", "--json")) == {"hits": [], "complete": True}


def test_the_log(host: Host, vm: str) -> None:
    next(iter(host.hypervisor.runs.values())).say(b"one\r\ntwo \x1b[2J\r\n")
    assert host.run("vm", "log", vm).stdout_bytes == b"one\r\ntwo \x1b[2J\r\n", "a program gets what was said"
    assert json.loads(host.ok("vm", "log", vm, "--bytes", "3", "--json")) == {
        "vmid": 1, "text": "J\r\n", "complete": False,
    }  # fmt: skip
    with terminal(host, "vm", "log", vm) as shown:
        assert "two \ufffd[2J" in shown.until("[2J"), "a person's terminal is told nothing by a guest"


class Terminal:
    """A verb in a terminal of its own."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.seen = ""

    def until(self, words: str) -> str:
        """What is shown up to and with these words."""
        end = time.monotonic() + PATIENCE
        while words not in self.seen:
            assert time.monotonic() < end, self.seen
            if select.select([self._descriptor], [], [], 0.5)[0]:
                with contextlib.suppress(OSError):
                    self.seen += os.read(self._descriptor, 4096).decode(errors="replace")
        head, _, self.seen = self.seen.partition(words)
        return head + words

    def type(self, keys: bytes) -> None:
        os.write(self._descriptor, keys)


@contextlib.contextmanager
def terminal(host: Host, *words: str) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "velocity", *words]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | host.environment, start_new_session=True
    )
    os.close(theirs)
    try:
        yield Terminal(ours)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_the_keyboard_in_a_terminal(host: Host, vm: str) -> None:
    with Client(host.url, host.key) as client, terminal(host, "vm", "console", vm) as shown:
        shown.until("connected")
        other = client.console(client.open_console(vmid=1, kind="serial"), control=True)
        told: list[KeyboardStatus] = []
        other.hear = told.append

        def hear(wanted: Callable[[KeyboardStatus], bool]) -> None:
            end = time.monotonic() + PATIENCE
            while not any(map(wanted, told)):
                other.receive(0.1)
                assert time.monotonic() < end, told
            told.clear()

        hear(lambda one: one.keyboard == Holder(holder=None, yours=False))
        other.send(b"mine ")
        shown.until("[root has the keyboard]")
        shown.type(b"lost")
        shown.until("Ctrl-^ asks for it]")
        shown.type(b"\x1e")
        shown.until("is asked for the keyboard")
        hear(lambda one: one.asks == "root")
        other.move("keep")
        shown.until("[root keeps the keyboard]")
        shown.type(b"\x1e")
        hear(lambda one: one.asks == "root")
        other.move("give")
        shown.until("[you have the keyboard]")
        shown.type(b"heard ")
        shown.until("heard ")
        other.move("ask")
        shown.until("Ctrl-^ gives it, Ctrl-_ keeps it]")
        shown.type(b"\x1f")
        hear(lambda one: one.refused is True)
        other.move("ask")
        shown.until("Ctrl-^ gives it, Ctrl-_ keeps it]")
        shown.type(b"\x1e")
        hear(lambda one: one.keyboard == Holder(holder="root", yours=True))
        other.close()
        shown.type(b"\x1d")
        shown.until("left the console")
    assert bytes(next(iter(host.hypervisor.runs.values())).said) == b"mine heard "


@pytest.mark.holds("CONSOLE-16")
def test_a_console_that_ends_by_itself_says_why(host: Host, vm: str) -> None:
    with Client(host.url, host.key) as client, terminal(host, "vm", "console", vm) as shown:
        shown.until("connected")
        client.set_vm_state(vmid=1, state="STOPPED", force=True)
        assert "left the console" not in shown.until("the console has ended: the VM has stopped")


def test_a_pipe_waits_for_the_keyboard(host: Host, vm: str) -> None:
    command = [sys.executable, "-m", "velocity", "vm", "console", vm]
    environment = os.environ | host.environment
    with Client(host.url, host.key) as client:
        holder = client.console(client.open_console(vmid=1, kind="serial"), control=True)
        moves: list[KeyboardStatus] = []
        holder.hear = moves.append
        holder.send(b"mine ")
        for move, status, said in (("keep", 1, b"mine "), ("give", 0, b"mine yours ")):
            piped = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
            )
            assert piped.stdin is not None
            piped.stdin.write(b"yours ")
            piped.stdin.close()
            piped.stdin = None
            end = time.monotonic() + PATIENCE
            while not any(one.asks == "root" for one in moves):
                holder.receive(0.1)
                assert time.monotonic() < end, moves
            moves.clear()
            holder.move("keep" if move == "keep" else "give")
            _, errors = piped.communicate(timeout=PATIENCE)
            assert (piped.returncode, b"keeps the keyboard" in errors) == (status, status == 1), errors
            assert bytes(next(iter(host.hypervisor.runs.values())).said) == said
        holder.close()


def hears_ctrl_c() -> None:
    """Also when these tests run in the background, where a shell has its children ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_viewer_gets_the_display(host: Host, vm: str) -> None:
    command = [sys.executable, "-m", "velocity", "vm", "screen", vm, "--vnc"]
    process = subprocess.Popen(
        command,
        env=os.environ | host.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hears_ctrl_c,
    )
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline().rpartition(":")[2])
        for words in (b"RFB 003.008\n", b"again"):  # one viewer after the other
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as viewer:
                viewer.sendall(words)
                assert viewer.recv(100) == words, "the fake's display answers with the same"
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.communicate()


def test_a_local_port_is_for_our_account_only(tmp_path: Path) -> None:
    with viewer.listen(0) as listener, socket.create_connection(listener.getsockname()) as ours:
        assert viewer.own(ours.getsockname()[1], listener.getsockname()[1])
        assert not viewer.own(1, listener.getsockname()[1])
        with pytest.raises(Exception, match="choose another"):
            viewer.listen(listener.getsockname()[1])
    table = tmp_path / "tcp"
    row = "  0: 0100007F:0001 0100007F:0002 01 00000000:00000000 00:00000000 00000000 {} 0 1 1\n"
    table.write_text("  sl  local_address\n" + row.format(os.getuid() + 1))
    assert not viewer.own(1, 2, table), "another account's"
    table.write_text("  sl  local_address\n" + row.format(os.getuid()))
    assert viewer.own(1, 2, table)
    assert viewer.own(1, 2, tmp_path / "none")
