"""Wires the moves of VMs to other hosts."""

from __future__ import annotations

from velocity.access.directory import Directory
from velocity.hypervisor.port import Hypervisor
from velocity.machines.move.carrying import Carrying
from velocity.machines.move.crossing import Holding
from velocity.machines.move.draining import Draining
from velocity.machines.move.inherited import Whereabouts
from velocity.machines.move.rules import MoveStore
from velocity.machines.move.rules import arriving as arriving
from velocity.machines.move.service import HostMoves
from velocity.machines.move.settling import Settling
from velocity.machines.move.targets import Targets
from velocity.machines.service import Fleet
from velocity.media.assignments import Assignments
from velocity.media.attachments import Attachments
from velocity.media.library import Library
from velocity.media.quotas import PoolQuotas
from velocity.media.reservations import Reservations
from velocity.media.room import Room
from velocity.media.sources import Sources
from velocity.media.states import PoolStates
from velocity.media.usage import DiskUsage
from velocity.storage.port import Storage
from velocity.tasks.service import Tasks


def host_moves(
    store: MoveStore, directory: Directory, fleet: Fleet, hypervisor: Hypervisor, storage: Storage, library: Library,
    attachments: Attachments, assignments: Assignments, quotas: PoolQuotas, reservations: Reservations,
    sources: Sources, states: PoolStates, room: Room, usage: DiskUsage, tasks: Tasks,
) -> tuple[HostMoves, Draining]:  # fmt: skip
    """`hypervisor` and `storage` are those of all hosts."""
    holding = Holding(fleet, sources, reservations)
    moves = HostMoves(
        directory,
        fleet,
        Targets(fleet, hypervisor.hosts, directory, library, attachments, assignments, quotas, states, room),
        holding,
        Carrying(
            hypervisor,
            fleet.live,
            fleet.hosts.attached,
            fleet.builder.memory,
            storage.blobs,
            storage.jobs,
            storage.trash,
        ),
        Settling(store, fleet, hypervisor, library, storage.trash, holding, Whereabouts(states, storage.blobs)),
        room,
        tasks,
        usage,
    )
    return moves, Draining(directory, fleet, moves, tasks)
