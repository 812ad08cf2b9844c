"""What machines of a node take: measured in one call, and each alone where that is of no use."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from uuid import UUID

import pytest

from velocity.hypervisor.port import HostId, HypervisorError, Incarnation, NotRunning, Traffic, Unknown, Usage
from velocity.node.measuring import Measuring

pytestmark = pytest.mark.anyio
UNKNOWN = "this node does not know the call"
WHOS = [Incarnation(UUID(int=number), HostId(2), 1) for number in range(5)]
USAGE = Usage(1.0, 1 << 20, 0, 0, Traffic(0, 0))


class Node:
    """Measures all but those that are `silent`, and is asked `each` and `one`."""

    def __init__(self, silent: Iterable[Incarnation] = (), refuses: HypervisorError | None = None) -> None:
        self.each: list[int] = []
        self.one: list[Incarnation] = []
        self._silent = set(silent)
        self._refuses = refuses

    async def measure_each(self, whos: tuple[Incarnation, ...], *, deadline: float) -> tuple[Usage | None, ...]:
        self.each.append(len(whos))
        await asyncio.sleep(0)
        if self._refuses is not None:
            raise self._refuses
        return tuple(None if who in self._silent else USAGE for who in whos)

    async def measure(self, who: Incarnation, *, deadline: float) -> Usage:
        self.one.append(who)
        await asyncio.sleep(0)
        if who in self._silent:
            raise NotRunning("it does not run")
        return USAGE


async def asked(node: Node, times: int = 1) -> list[object]:
    measuring = Measuring(node.measure, node.measure_each, UNKNOWN)
    for _ in range(times):
        calls = [measuring.measure(who, deadline=5) for who in WHOS]
        answers: list[object] = await asyncio.gather(*calls, return_exceptions=True)
    return answers


@pytest.mark.holds("MANY-223")
async def test_machines_of_one_host_are_measured_in_one_call() -> None:
    node = Node()
    assert await asked(node, 2) == [USAGE] * 5
    assert (node.each, node.one) == ([5, 5], [])


@pytest.mark.holds("MANY-223")
async def test_one_that_does_not_answer_is_asked_alone_and_says_why() -> None:
    node = Node(silent=WHOS[1:2])
    answers = await asked(node)
    assert answers[:1] + answers[2:] == [USAGE] * 4
    assert isinstance(answers[1], NotRunning)
    assert (node.each, node.one) == ([5], WHOS[1:2])


@pytest.mark.holds("MANY-223")
@pytest.mark.parametrize(("error", "tries"), [(HypervisorError(UNKNOWN), 1), (Unknown("it is silent"), 2)])
async def test_where_that_call_is_of_no_use_each_is_asked_alone(error: HypervisorError, tries: int) -> None:
    """A node that does not know it is not asked so again for a while."""
    node = Node(refuses=error)
    assert await asked(node, 2) == [USAGE] * 5
    assert (node.each, node.one) == ([5] * tries, WHOS * 2)
