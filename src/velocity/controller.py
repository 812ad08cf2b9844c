"""Wires what the server is to its hosts: who they are, and the ways to them."""

from __future__ import annotations

import asyncio
import functools
import socket
import time
from collections.abc import Callable
from pathlib import Path

from velocity import __version__
from velocity.changes import Changes
from velocity.config import Settings
from velocity.hosts.addresses import urls
from velocity.hosts.connector import Connector
from velocity.hosts.copies import Copies
from velocity.hosts.fencing import FenceAgents
from velocity.hosts.lost import LostHosts
from velocity.hosts.members import Dialing, Known
from velocity.hosts.membership import Membership
from velocity.hosts.port import AttachedHost, Attaching, OfferedPool
from velocity.hosts.roster import Roster
from velocity.hypervisor.port import HostId, Hypervisor
from velocity.storage.port import Storage
from velocity.store.copies import copies_of
from velocity.store.database import Database
from velocity.store.hosts import SqlMembers


def membership(
    settings: Settings,
    database: Database,
    mine: AttachedHost,
    changes: Changes,
    attaching: Attaching,
    clock: Callable[[], float] = time.time,
) -> Membership:
    """`mine` is the server's own host."""
    store = SqlMembers(database)
    roster = Roster(changes, mine.host, mine.name)

    @functools.cache
    def dialing() -> Dialing:
        from velocity.node.dialing import NodeDialing  # gRPC, which a server of one machine does without

        return NodeDialing(lambda: database.term.mine, doubt)

    def doubt() -> None:
        asyncio.get_running_loop().run_in_executor(None, database.doubt)

    def own() -> Known:
        facts = mine.hypervisor.hosts.about(mine.host)
        return Known(__version__, mine.name, facts, mine.pools, dict(mine.nics), 0)

    connector = Connector(store, roster, dialing, attaching, (mine.hypervisor, mine.storage), clock)
    agents = FenceAgents([Path(one) for one in settings.fence_agents])
    scheme = "https" if settings.tls_cert else "http"
    return Membership(
        store,
        roster,
        dialing,
        connector,
        copies=Copies(copies_of(database), settings.data_dir / "copy", roster, connector.node, clock),
        lost=LostHosts(store, roster, connector.trouble, attaching, agents, settings.fence_after, clock),
        own=own,
        urls=lambda: urls(scheme, settings.address),
        clock=clock,
    )


def own_host(settings: Settings, own: HostId, driver: Hypervisor, storage: Storage) -> AttachedHost:
    """The host that this server runs on, and drives in its own process."""
    return AttachedHost(
        host=own,
        name=socket.gethostname(),
        hypervisor=driver,
        storage=storage,
        pools=tuple(OfferedPool(pool.mpid, pool.name, pool.shared) for pool in settings.media_pools),
        nics={nic.nicid: nic.identifier for nic in settings.nics},
    )
