"""One function for each operation, a few lines long: call the area, build the response."""

from velocity.api.handlers import (
    auth,
    catalogue,
    command,
    consoles,
    groups,
    guests,
    history,
    host,
    host_moves,
    lost_hosts,
    machines,
    media,
    metrics,
    nics,
    nodes,
    screens,
    sessions,
    tasks,
    trash,
    users,
    why,
)
from velocity.api.handlers.base import HANDLERS, Call, Handler
from velocity.contract.registry import OPERATIONS

__all__ = [
    "HANDLERS",
    "Call",
    "Handler",
    "auth",
    "catalogue",
    "command",
    "consoles",
    "groups",
    "guests",
    "history",
    "host",
    "host_moves",
    "lost_hosts",
    "machines",
    "media",
    "metrics",
    "nics",
    "nodes",
    "screens",
    "sessions",
    "tasks",
    "trash",
    "users",
    "why",
]

_missing = [operation.name for operation in OPERATIONS if operation.name not in HANDLERS and not operation.streams]
if _missing:
    raise TypeError(f"these operations have no handler: {', '.join(_missing)}")
