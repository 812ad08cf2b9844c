"""What handlers get, and how they are registered for their operations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from velocity.access.directory import Directory
from velocity.access.rules import Device
from velocity.access.service import Access
from velocity.access.sessions import Caller
from velocity.api.browser import Browser
from velocity.api.request_counts import RequestCounts
from velocity.api.turns import Turns
from velocity.changes import Changes
from velocity.config import NicSetting
from velocity.contract.operation import Operation, Wire
from velocity.events.service import Events
from velocity.history.service import History
from velocity.hosts.membership import Membership
from velocity.idempotency.service import Idempotency
from velocity.machines.changes.cloning import Cloning
from velocity.machines.changes.group_moves import GroupMoves
from velocity.machines.changes.provisioning import Provisioning
from velocity.machines.consoles.consoles import VmConsoles
from velocity.machines.consoles.screens import VmScreens
from velocity.machines.guest.addresses import Addresses
from velocity.machines.guest.guests import VmGuests
from velocity.machines.move.draining import Draining
from velocity.machines.move.service import HostMoves
from velocity.machines.service import Fleet
from velocity.media.alteration import Alteration
from velocity.media.assignments import Assignments
from velocity.media.attachments import Attachments
from velocity.media.catalogue import Images
from velocity.media.conversions import Conversions
from velocity.media.creation import Creation
from velocity.media.deletion import Deletion
from velocity.media.fetching import Fetching
from velocity.media.library import Library
from velocity.media.pools import Pools
from velocity.media.quotas import PoolQuotas
from velocity.media.relocation import Relocation
from velocity.media.reservations import Reservations
from velocity.media.resumable import Resumables
from velocity.media.sources import Sources
from velocity.media.states import PoolStates
from velocity.media.under_way import UploadsUnderWay
from velocity.media.usage import DiskUsage
from velocity.metrics.host import Host
from velocity.metrics.loop import Lag
from velocity.metrics.service import Metrics
from velocity.outcome import Outcome
from velocity.storage.port import Blobs
from velocity.tasks.service import Tasks
from velocity.trash.emptying import Emptying
from velocity.trash.purging import Purging
from velocity.trash.service import Trash

Request = TypeVar("Request", bound=Wire)
Response = TypeVar("Response", bound=Wire)


class Services(Struct, frozen=True):
    """Everything that handlers call."""

    access: Access
    directory: Directory
    changes: Changes
    library: Library
    attachments: Attachments
    assignments: Assignments
    quotas: PoolQuotas
    reservations: Reservations
    pools: Pools
    pool_states: PoolStates
    usage: DiskUsage
    sources: Sources
    blobs: Blobs
    creation: Creation
    alteration: Alteration
    deletion: Deletion
    fleet: Fleet
    provisioning: Provisioning
    cloning: Cloning
    group_moves: GroupMoves
    host_moves: HostMoves
    draining: Draining
    consoles: VmConsoles
    screens: VmScreens
    guests: VmGuests
    addresses: Addresses
    tasks: Tasks
    conversions: Conversions
    relocation: Relocation
    fetching: Fetching
    images: Images
    resumables: Resumables
    uploads: UploadsUnderWay
    trash: Trash
    purging: Purging
    emptying: Emptying
    idempotency: Idempotency
    history: History
    metrics: Metrics
    host: Host
    membership: Membership
    counts: RequestCounts
    lag: Lag
    events: Events
    outcome: Outcome
    leads: Callable[[], bool]
    turns: Turns
    nics: Sequence[NicSetting]


class Call(msgspec.Struct, Generic[Request], frozen=True):
    """One admitted request. `authkey` is what was sent, valid or not; `signed_in` is the caller, if one is needed.

    `address` is where the request came from; `browser` sets the cookie of the response.
    """

    services: Services
    request: Request
    authkey: str | None
    signed_in: Caller | None
    address: str
    browser: Browser

    @property
    def device(self) -> Device:
        return Device(self.address, self.browser.agent)

    def purges(self, purge: bool) -> bool:
        """Whether a deletion is permanent: as requested, or because there is no trash."""
        return purge or not self.services.purging.kept

    @property
    def caller(self) -> Caller:
        assert self.signed_in is not None, "only operations that need no permission have no caller"
        return self.signed_in


Handler = Callable[[Call[Any]], Awaitable[Wire]]
HANDLERS: dict[str, Handler] = {}


def handles(
    operation: Operation[Request, Response],
) -> Callable[[Callable[[Call[Request]], Awaitable[Response]]], Callable[[Call[Request]], Awaitable[Response]]]:
    """Register a handler. mypy checks that it takes the operation's request and returns its response."""

    def bind(handler: Callable[[Call[Request]], Awaitable[Response]]) -> Callable[[Call[Request]], Awaitable[Response]]:
        if operation.name in HANDLERS:
            raise TypeError(f"{operation.name} has two handlers")
        HANDLERS[operation.name] = handler
        return handler

    return bind
