"""A host's node that sends a machine away, as a process of its own, which can be killed in the middle."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from tests.ports.subjects import DEADLINE, HOST, NoMedia, qemu_options
from velocity.hypervisor.port import Copied, Incarnation, Landing
from velocity.hypervisor.qemu.driver import QemuHypervisor


class Order(msgspec.Struct):
    """What it is to do."""

    data: Path
    runtime: Path
    program: str
    who: Incarnation
    landing: Landing
    copied: list[Copied]


async def send(order: Order) -> None:
    """Says each phase on its standard output."""
    driver = QemuHypervisor(qemu_options(order.data, order.runtime, order.program), NoMedia(order.data))
    await driver.prepare()
    await driver.machines.adopt(HOST, deadline=DEADLINE)
    async for one in driver.mobility.send(order.who, order.landing, order.copied, deadline=DEADLINE):
        sys.stdout.write(f"{one.phase.value}\n")
        sys.stdout.flush()


def encoded(order: Order) -> str:
    return msgspec.json.encode(order, enc_hook=str).decode()


def decoded(text: str) -> Order:
    return msgspec.json.decode(text, type=Order, dec_hook=lambda kind, value: kind(value))


if __name__ == "__main__":
    asyncio.run(send(decoded(sys.argv[1])))
