"""Requests to guest agents. Their answers are bounded, and never trusted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import msgspec

from velocity.contract.machines import State
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import Guests, Hosts, HypervisorError, Incarnation, NoAgent, NotRunning, Unknown
from velocity.machines.run.keeper import Keeper
from velocity.machines.run.life import Life

log = logging.getLogger(__name__)

DEADLINE = 10.0
"""Seconds that an agent has to answer one command."""
BEHIND = 5.0
"""The same for commands that nobody waits for."""
LOOK, LOOKS = 0.5, 10
"""Seconds between checks for new CPUs in a guest, and how many there are."""
LONGEST = 256 << 10
"""Bytes of JSON in an answer that describes a guest."""
WORDS = 255
"""Characters of a text from a guest."""

FREEZE, THAW, STATUS = "guest-fsfreeze-freeze", "guest-fsfreeze-thaw", "guest-fsfreeze-status"
WHILE_FROZEN = frozenset({"guest-info", FREEZE, THAW, STATUS})
"""The commands allowed while file systems are frozen: none that writes to them."""

T = TypeVar("T")


class Done(msgspec.Struct):
    """An answer whose content does not matter."""


class _Cpu(msgspec.Struct, rename="kebab"):
    logical_id: int
    online: bool


def shown(text: str) -> str:
    """A text from a guest, made safe to show anywhere."""
    return "".join(one if one.isprintable() else "\ufffd" for one in text[:WORDS])


class Agents:
    """The agents of all guests."""

    def __init__(self, guests: Guests, hosts: Hosts) -> None:
        self._guests = guests
        self._hosts = hosts
        self._background: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        for task in self._background:
            task.cancel()
        await self.settle()

    async def settle(self) -> None:
        """Returns when no command is under way that nobody waits for."""
        if self._background:
            await asyncio.wait(self._background)

    async def ask(
        self,
        keeper: Keeper,
        command: str,
        kind: type[T],
        *,
        longest: int = LONGEST,
        within: float = DEADLINE,
        **arguments: Any,
    ) -> T:
        """Send one command; returns the answer. Raises `Refused`."""
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        self.check(keeper, command)
        with refusing(keeper):
            answer = await self._guests.ask(keeper.who, command, msgspec.json.encode(named), deadline=within)
        try:
            if len(answer) > longest:
                raise ValueError(f"{len(answer)} bytes")
            return msgspec.json.decode(answer, type=kind)
        except (ValueError, RecursionError, msgspec.MsgspecError) as error:
            words = f"{keeper.called}: its guest agent's answer to {command} is invalid: {shown(str(error))}"
            raise Refused(Problem.AGENT_REFUSED, words) from None

    def check(self, keeper: Keeper, command: str = FREEZE) -> None:
        """Raises `Refused`, with the cure, if it is known that no agent answers, or that it lacks the command."""
        with refusing(keeper):
            self._check(keeper)
            if keeper.progress.frozen_until is not None and command not in WHILE_FROZEN:
                raise HypervisorError("its file systems are frozen: `velocity vm thaw VM` thaws them")

    def _check(self, keeper: Keeper) -> None:
        """Raises `Refused` and `NoAgent`."""
        if keeper.state is State.PAUSED:
            raise Refused(Problem.NO_AGENT, f"{keeper.called} is PAUSED: resume it first")
        if keeper.state is not State.RUNNING:
            raise Refused(Problem.NO_AGENT, f"{keeper.called} is {keeper.state.value}: start it first")
        if not self.has_channel(keeper):
            raise NoAgent(
                f"its hardware {_profile(keeper)} has no channel to a guest agent, and newer has, from its next start "
                "on: `velocity vm set VM --hardware latest`"
            )

    def has_channel(self, vm: Life) -> bool:
        """Whether its hardware has a channel to an agent."""
        profile = _profile(vm)
        return any(one.agent for one in self._hosts.about(vm.machine.host).hardware if one.name == profile)

    # Commands that nobody waits for

    def shut_down(self, vm: Life) -> None:
        """Ask the agent for a shutdown, besides the power button, as some guests react to only one of them. Frozen
        guests ignore it.
        """
        if vm.progress.frozen_until is not None:
            self._ask_in_background(vm, THAW)
        self._ask_in_background(vm, "guest-shutdown", mode="powerdown")

    def set_clock(self, vm: Life) -> None:
        """Set the clock, which stood still while the guest was paused."""
        self._ask_in_background(vm, "guest-set-time", time=time.time_ns())

    def switch_on_cpus(self, vm: Life, count: int) -> None:
        """Have the guest use so many CPUs, some of which were added while it runs: many Linux systems leave those
        offline.
        """
        self._begin(vm, "guest-set-vcpus", self._switch_on_cpus(vm.who, count))

    def _ask_in_background(self, vm: Life, command: str, **arguments: Any) -> None:
        self._begin(vm, command, self._guests.ask(vm.who, command, msgspec.json.encode(arguments), deadline=BEHIND))

    def _begin(self, vm: Life, command: str, asking: Coroutine[Any, Any, object]) -> None:
        if not self.has_channel(vm):
            asking.close()
            return
        task = asyncio.create_task(self._do(vm.who, command, asking))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _do(self, who: Incarnation, command: str, asking: Coroutine[Any, Any, object]) -> None:
        try:
            await asking
        except (HypervisorError, ValueError) as error:  # most guests have no agent
            log.debug("machine %s: %s: %s", who.machine, command, shown(str(error)))

    async def _switch_on_cpus(self, who: Incarnation, count: int) -> None:
        """Enable CPUs as soon as the guest has noticed them."""
        known: list[_Cpu] = []
        for _ in range(LOOKS):
            answer = await self._guests.ask(who, "guest-get-vcpus", b"{}", deadline=BEHIND)
            known = msgspec.json.decode(answer, type=list[_Cpu])[:count]
            if len(known) == count:
                break
            await asyncio.sleep(LOOK)
        off = [{"logical-id": one.logical_id, "online": True} for one in known if not one.online]
        if off:
            arguments = msgspec.json.encode({"vcpus": off})
            await self._guests.ask(who, "guest-set-vcpus", arguments, deadline=BEHIND)


def _profile(vm: Life) -> str:
    return (vm.progress.run or vm.machine.spec).hardware


@contextlib.contextmanager
def refusing(keeper: Keeper) -> Iterator[None]:
    """Turns errors of the port into `Refused`."""
    vm = keeper.called
    try:
        yield
    except (NoAgent, NotRunning) as error:
        raise Refused(Problem.NO_AGENT, f"{vm}: {error}") from None
    except Unknown as error:
        raise Refused(Problem.HYPERVISOR, f"{vm}: {error}: what was requested may still happen in the guest") from None
    except HypervisorError as error:
        raise Refused(Problem.AGENT_REFUSED, f"{vm}: its guest agent refuses: {shown(str(error))}") from None
