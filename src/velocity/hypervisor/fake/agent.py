"""The agents in the guests of the hypervisor in memory, which a test plays."""

from __future__ import annotations

import base64
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

import msgspec

from velocity.hypervisor.fake.state import FakeState
from velocity.hypervisor.port import MOST_ENCODED, Fact, HypervisorError, Incarnation, NoAgent, Unknown

Answers = Callable[[str, Mapping[str, Any]], Any]
"""What an agent returns to a command, now or later; bytes are taken as JSON already."""


class FakeAgent:
    """A guest of Linux with a few files and one program, which gives back what it is given.

    A test may set what it `tells` of itself, by command; it knows no others, and refuses them.
    """

    def __init__(self) -> None:
        self.tells: dict[str, Any] = {
            "guest-info": {"version": "7.2.0"},
            "guest-get-host-name": {"host-name": "penguin"},
            "guest-get-osinfo": {"id": "debian", "pretty-name": "Debian GNU/Linux 12 (bookworm)"},
            "guest-network-get-interfaces": [
                {
                    "name": "eth0",
                    "hardware-address": "52:54:00:12:34:56",
                    "ip-addresses": [{"ip-address": "10.0.2.15", "ip-address-type": "ipv4", "prefix": 24}],
                }
            ],
            "guest-get-fsinfo": [
                {"name": "vda1", "mountpoint": "/", "type": "ext4", "used-bytes": 1 << 30, "total-bytes": 4 << 30}
            ],
            "guest-get-users": [{"user": "root", "login-time": 1.7e9}],
            "guest-set-time": {},
            "guest-set-user-password": {},
            "guest-ssh-add-authorized-keys": {},
        }
        self.files: dict[str, bytearray] = {}
        self.ended: dict[str, Any] = {"exited": True, "exitcode": 0}
        """How its program ends."""
        self.frozen = 0
        """How many of its file systems are so."""
        self._output = b""
        self._open: dict[int, tuple[str, int]] = {}

    def __call__(self, command: str, arguments: Mapping[str, Any]) -> Any:
        if self.frozen and command not in ("guest-info", "guest-fsfreeze-status", "guest-fsfreeze-thaw"):
            raise HypervisorError(f"The command {command} has been disabled: the command is not allowed")
        if (does := getattr(self, "_" + command.removeprefix("guest-").replace("-", "_"), None)) is not None:
            return does(**{name.replace("-", "_"): value for name, value in arguments.items()})
        if command not in self.tells:
            raise HypervisorError(f"The command {command} has not been found")
        return self.tells[command]

    @property
    def handles(self) -> int:
        """How many files it has open."""
        return len(self._open)

    def _exec(self, path: str, arg: list[str], capture_output: bool, input_data: str = "") -> Any:
        self._output = base64.b64decode(input_data) or " ".join([path, *arg]).encode()
        return {"pid": 42}

    def _exec_status(self, pid: int) -> Any:
        if not self.ended["exited"]:
            return self.ended
        return {"out-data": base64.b64encode(self._output).decode()[:MOST_ENCODED], **self.ended}

    def _fsfreeze_freeze(self) -> int:
        self.frozen = len(self.tells["guest-get-fsinfo"])
        return self.frozen

    def _fsfreeze_thaw(self) -> int:
        thawed, self.frozen = self.frozen, 0
        return thawed

    def _fsfreeze_status(self) -> str:
        return "frozen" if self.frozen else "thawed"

    def _file_open(self, path: str, mode: str) -> int:
        if "w" in mode:
            self.files[path] = bytearray()
        if path not in self.files:
            raise HypervisorError(f"failed to open file '{path}' (mode: '{mode}'): No such file or directory")
        handle = max(self._open, default=999) + 1
        self._open[handle] = path, 0
        return handle

    def _file_seek(self, handle: int, offset: int, whence: str) -> Any:
        self._open[handle] = self._open[handle][0], offset
        return {"position": offset, "eof": False}

    def _file_read(self, handle: int, count: int) -> Any:
        path, at = self._open[handle]
        data = bytes(self.files[path][at : at + count])
        return {"count": len(data), "buf-b64": base64.b64encode(data).decode(), "eof": len(data) < count}

    def _file_write(self, handle: int, buf_b64: str) -> Any:
        path, at = self._open[handle]
        data = base64.b64decode(buf_b64)
        self.files[path][at : at + len(data)] = data
        return {"count": len(data), "eof": False}

    def _file_flush(self, handle: int) -> Any:
        return {}

    def _file_close(self, handle: int) -> Any:
        del self._open[handle]
        return {}


class FakeGuests:
    """Implements `velocity.hypervisor.port.Guests`. A test may put `agents` into guests; `asked` is what they were."""

    def __init__(self, state: FakeState) -> None:
        self.agents: dict[UUID, Answers] = {}
        self.asked: list[tuple[UUID, str, Mapping[str, Any]]] = []
        self._state = state

    async def ask(self, who: Incarnation, command: str, arguments: bytes, *, deadline: float) -> bytes:
        run = self._state.running(who)
        if who.machine in self._state.silent:
            raise NoAgent("its monitor does not respond")
        agent = self.agents.get(who.machine)
        if agent is None:
            raise NoAgent("no guest agent runs in it: install and start qemu-guest-agent in the guest")
        if run.fact is not Fact.RUNNING:
            raise Unknown(f"its guest agent does not answer to {command}")
        given = msgspec.json.decode(arguments, type=dict[str, Any])
        self.asked.append((who.machine, command, given))
        answer = agent(command, given)
        if inspect.isawaitable(answer):
            answer = await _awaited(answer)
        return answer if isinstance(answer, bytes) else msgspec.json.encode(answer)


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer
