"""Why a change of a running machine waits or is refused: sentences for plans and answers."""

from __future__ import annotations

from velocity.hypervisor.port import Fact

OLDER_RUN = "an older run of this machine has not ended yet"
MOVING = "it is being moved to another host: wait until that is done, or cancel the move"
AWAY = {
    Fact.INCOMING: "it is being received from another host, and does not run yet",
    Fact.RECEIVED: "it was received from another host, and waits to be let run",
    Fact.HANDED: "it was handed over to another host: it continues here only if that host is known to have ended it",
}

NOT_YET = "the guest has not released it yet"
COLD_DISPLAY = "displays are added and removed at a start"
NO_SIZE = "the guest did not follow at once: it needs a driver (virtio-gpu) and a desktop that follows"
NOT_COPIED = "its disk is not being copied"
WHEN_ATTACHED = "cache and sectors of a disk are set when it is attached"
COPIED = "it is being moved or converted, and stays until that is done"
LESS_CPUS = "CPUs are not removed from a running guest"
MORE_CPUS = "more CPUs than at the start need max_cpus, set before the start"
MORE_MEMORY = "another amount of memory than at the start needs max_memory_mib, set before the start"
LESS_MEMORY = "it was started with {} MiB, and can release only what was added since"
NEEDS_PORTS = "adding NICs while it runs needs hardware 2: `velocity vm set VM --hardware latest`"
FULL = "all places for hot-plugged devices are in use"
NO_PORT = "it has no free PCI port"
COLD_NIC = "a NIC that was there at the start loses its cable now, and is removed at the next start"
SAME_MAC = "the MAC address of a NIC changes at a start"
NO_NIC_YET = "the NIC that they forward to is not there yet"
USER_NETWORK = "a NIC moves to or from QEMU's user network at a start"
NO_BRIDGE = "only moves between Linux bridges are possible while it runs; others take effect at a start"
