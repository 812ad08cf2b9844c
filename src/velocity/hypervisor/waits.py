"""Why a change of a machine that runs waits, or is refused, in words: told before it is tried, and after."""

from __future__ import annotations

from velocity.hypervisor.port import Fact

MOVING = "it is being moved to another host: wait until that is done, or give it up"
AWAY = {
    Fact.INCOMING: "it is being received from another host, and does not run yet",
    Fact.RECEIVED: "it was received from another host, and waits to be let run",
    Fact.HANDED: "it was handed over to another host: it runs on here only if that is known to have ended it",
}

NOT_YET = "the guest has not let go of it yet"
COLD_DISPLAY = "displays come and go at a start"
NO_SIZE = "the guest did not follow at once: that takes a driver (virtio-gpu) and a desktop that listens to it"
COPIED = "it is being moved or converted, and stays until that is done"
LESS_CPUS = "CPUs are not taken out of a guest that runs"
MORE_CPUS = "more CPUs than at its start need max_cpus, which is set for a start"
MORE_MEMORY = "other memory than at its start needs max_memory_mib, which is set for a start"
LESS_MEMORY = "it was started with {} MiB, and gives back only what came after that"
NEEDS_PORTS = "NICs are plugged in while it runs from hardware 2 on: `velocity vm set VM --hardware latest`"
NO_PORT = "no PCI port is free in it"
COLD_NIC = "a NIC that was there at its start is unplugged now, and goes then"
SAME_MAC = "the MAC address of a NIC is given at a start"
NO_NIC_YET = "the NIC that they lead to is not there yet"
USER_NETWORK = "a NIC comes into QEMU's user network, and leaves it, at a start"
NO_BRIDGE = "a NIC moves between bridges while it runs; to or from another host NIC it goes at a start"
