"""Why a change of a running machine waits or is refused: sentences for plans and answers."""

from __future__ import annotations

from velocity.hypervisor.port import Fact

MOVING = "it is being moved to another host: wait until that is done, or cancel the move"
AWAY = {
    Fact.INCOMING: "it is being received from another host, and does not run yet",
    Fact.RECEIVED: "it was received from another host, and waits to be let run",
    Fact.HANDED: "it was handed over to another host: it continues here only if that host is known to have ended it",
}

NOT_YET = "the guest has not let go of it yet"
COLD_DISPLAY = "displays come and go at a start"
NO_SIZE = "the guest did not follow at once: that takes a driver (virtio-gpu) and a desktop that listens to it"
COPIED = "it is being moved or converted, and stays until that is done"
LESS_CPUS = "CPUs are not taken out of a guest that runs"
MORE_CPUS = "more CPUs than at its start need max_cpus, which is set before the start"
MORE_MEMORY = "other memory than at its start needs max_memory_mib, which is set before the start"
LESS_MEMORY = "it was started with {} MiB, and gives back only what was added since"
NEEDS_PORTS = "NICs are plugged in while it runs from hardware 2 on: `velocity vm set VM --hardware latest`"
FULL = "all places for devices that are plugged while it runs are taken"
NO_PORT = "it has no free PCI port"
COLD_NIC = "a NIC that was there at its start is unplugged now, and removed at its next start"
SAME_MAC = "the MAC address of a NIC is given at a start"
NO_NIC_YET = "the NIC that they forward to is not there yet"
USER_NETWORK = "a NIC joins and leaves QEMU's user network at a start"
NO_BRIDGE = "a NIC moves between bridges while it runs; to or from another host NIC at a start"
