"""Wires what the server is to its hosts: who they are, and the ways to them."""

from __future__ import annotations

import asyncio
import functools
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from velocity import __version__
from velocity.access.rules import NOTHING, Amount
from velocity.changes import Changes
from velocity.config import Settings
from velocity.hosts.addresses import urls
from velocity.hosts.certainty import Certainty
from velocity.hosts.connector import Connector
from velocity.hosts.copies import Copies
from velocity.hosts.fencing import FenceAgents
from velocity.hosts.lost import LostHosts
from velocity.hosts.members import API, Dialing, Known, Member, Sealed
from velocity.hosts.membership import Beside, Membership
from velocity.hosts.port import AttachedHost, Attaching, OfferedPool
from velocity.hosts.roster import Roster
from velocity.hypervisor.port import HostId, Hypervisor
from velocity.installation import end_for
from velocity.node import identity
from velocity.storage.port import Storage
from velocity.store.copies import copies_of
from velocity.store.database import Database
from velocity.store.hosts import SqlMembers

if TYPE_CHECKING:
    from velocity.node.wire import Displaced


def membership(
    settings: Settings,
    database: Database,
    mine: AttachedHost,
    changes: Changes,
    attaching: Attaching,
    certainty: Certainty,
    clock: Callable[[], float] = time.time,
    given: Callable[[HostId], Amount] = lambda _: NOTHING,
) -> Membership:
    """`mine` is the server's own host, `given` what the VMs of one were given."""
    store, source = SqlMembers(database), copies_of(database)
    machine = str(identity.machine_of(settings.data_dir) or "")
    roster = Roster(changes, mine.host, mine.name)

    @functools.cache
    def dialing() -> Dialing:
        from velocity.node.dialing import NodeDialing  # gRPC, which a server of one machine does without

        return NodeDialing(lambda: database.term.mine, displaced, machine)

    def displaced(host: HostId, found: Displaced) -> None:
        """Of a host that keeps a copy this database need not know who leads; of another, it decides."""
        member = roster.find(host)
        believed = source is not None and member is not None and member.keeps_copy and found.leader not in ("", machine)
        give_way(member.name if believed and member is not None else "", found)

    def give_way(to: str, found: Displaced) -> None:
        own = roster.get(mine.host).name
        asyncio.get_running_loop().run_in_executor(None, end_for, settings, database, own, to, found)

    def own() -> Known:
        facts = mine.hypervisor.hosts.about(mine.host)
        return Known(__version__, mine.name, facts, mine.pools, dict(mine.nics), 0, API)

    connector = Connector(
        store, roster, dialing, attaching, (mine.hypervisor, mine.storage), clock, heard=certainty.heard
    )
    copies = Copies(source, settings.data_dir / "copy", roster, connector.node, clock)

    def keepers() -> dict[HostId, str]:
        """Only of SQLite: with PostgreSQL the database itself says who leads."""
        return {} if source is None else {one.host: one.name for one in roster if one.keeps_copy and not one.own}

    def keepers_changed() -> None:
        copies.poke()
        certainty.look_again()

    promotion = store.promotion()
    certainty.keepers, certainty.complete = keepers, not promotion.copied
    if promotion.term and promotion.term == database.term.mine - 1:
        certainty.be_sure()

    def join_oneself(own: Member, authority: Sealed) -> Member:
        from velocity.node import joining  # certificates, as above

        return joining.join_oneself(settings, own, authority, dialing().sign)

    agents = FenceAgents([Path(one) for one in settings.fence_agents])
    scheme = "https" if settings.tls_cert else "http"
    return Membership(
        store,
        roster,
        dialing,
        connector,
        copies=copies,
        lost=LostHosts(store, roster, connector.trouble, attaching, agents, settings.fence_after, clock),
        keepers_changed=keepers_changed,
        beside=_sentinels(settings, lambda: database.term.mine, machine, partial(give_way, "a later server")),
        join_oneself=join_oneself if settings.standby else None,
        own=own,
        urls=lambda: urls(scheme, settings.address),
        given=given,
        clock=clock,
    )


def _sentinels(
    settings: Settings, term: Callable[[], int], machine: str, displaced: Callable[[Displaced], None]
) -> list[Beside]:
    """Of a host that was a node: who looks for it as such is told."""
    was = identity.former(settings.data_dir)
    if was is None:
        return []
    from velocity.node.sentinel import Sentinel

    return [Sentinel(settings.node_listen, was.shown, term, machine, displaced)]


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
