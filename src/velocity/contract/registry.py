"""Every operation, in one place. Operations that collide fail at import."""

from __future__ import annotations

from typing import Any

from velocity.contract import (
    auth,
    boot,
    catalogue,
    cloning,
    command,
    consoles,
    events,
    fetching,
    groups,
    guests,
    history,
    host_moves,
    hosts,
    lost_hosts,
    machines,
    media,
    medium,
    metrics,
    nics,
    nodes,
    pools,
    restarts,
    screens,
    sessions,
    tasks,
    trash,
    uploads,
    users,
    vm_move,
    why,
)
from velocity.contract.operation import Operation

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    *auth.OPERATIONS,
    *sessions.OPERATIONS,
    *users.OPERATIONS,
    *groups.OPERATIONS,
    *pools.OPERATIONS,
    *media.OPERATIONS,
    *medium.OPERATIONS,
    *uploads.OPERATIONS,
    *fetching.OPERATIONS,
    *catalogue.OPERATIONS,
    *nics.OPERATIONS,
    *machines.OPERATIONS,
    *restarts.OPERATIONS,
    *boot.OPERATIONS,
    *cloning.OPERATIONS,
    *vm_move.OPERATIONS,
    *consoles.OPERATIONS,
    *screens.OPERATIONS,
    *guests.OPERATIONS,
    *metrics.OPERATIONS,
    *command.OPERATIONS,
    *hosts.OPERATIONS,
    *nodes.OPERATIONS,
    *host_moves.OPERATIONS,
    *lost_hosts.OPERATIONS,
    *why.OPERATIONS,
    *history.OPERATIONS,
    *tasks.OPERATIONS,
    *trash.OPERATIONS,
)

APART: tuple[Operation[Any, Any], ...] = (media.RESUMABLE, media.DOWNLOAD, events.WATCH, metrics.EXPOSITION)
"""Operations with their protocols' own methods and statuses; only their refusals are the contract's."""


def _refuse_collisions() -> None:
    declared: tuple[tuple[str, list[object]], ...] = (
        ("name", [operation.name for operation in OPERATIONS]),
        ("endpoint", [f"{operation.method.name} {operation.path}" for operation in OPERATIONS]),
        ("code", [failure.code for operation in OPERATIONS for failure in operation.failures]),
    )
    for what, keys in declared:
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise TypeError(f"the same {what} is declared twice: {sorted(map(str, twice))}")


_refuse_collisions()
