"""Wires the server to its hosts: the list of hosts, and the connections to them."""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from velocity import __version__
from velocity.access.rules import NOTHING, Amount
from velocity.changes import Changes
from velocity.config import Settings
from velocity.hosts.addresses import urls
from velocity.hosts.blocklists import Blocklists
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

log = logging.getLogger(__name__)


def membership(
    settings: Settings,
    database: Database,
    mine: AttachedHost,
    changes: Changes,
    attaching: Attaching,
    certainty: Certainty,
    clock: Callable[[], float] = time.time,
    given: Callable[[HostId], Amount] = lambda _: NOTHING,
    renamed: Callable[[str, str], None] = lambda *_: None,
) -> Membership:
    """`mine` is the server's own host; `given` returns what the VMs of a host were given; for `renamed`, see
    `Membership`.
    """
    store, source = SqlMembers(database), copies_of(database)
    roster = Roster(changes, mine.host, mine.name)
    gives_way = GivesWay(settings, database, roster, copied=source is not None)

    @functools.cache
    def dialing() -> Dialing:
        from velocity.node.dialing import NodeDialing  # gRPC, which a server with one host does not load

        return NodeDialing(lambda: database.term.mine, gives_way.hear, gives_way.machine)

    def own() -> Known:
        facts = mine.hypervisor.hosts.about(mine.host)
        return Known(__version__, mine.name, facts, mine.pools, dict(mine.nics), 0, API, settings.uid_base)

    def join_oneself(own: Member, authority: Sealed) -> Member:
        from velocity.node import joining  # certificates: not loaded for the same reason

        return joining.join_oneself(settings, own, authority, dialing().sign)

    agents = FenceAgents([Path(one) for one in settings.fence_agents])
    own_ports = mine.hypervisor, mine.storage
    connector = Connector(store, roster, dialing, attaching, own_ports, clock, heard=certainty.heard)
    copies = Copies(source, settings.data_dir / "copy", roster, connector.node, clock, certainty.look_again)
    if source is not None:  # otherwise the database itself says who leads
        _learn(certainty, store, roster, database.term.mine)
    scheme = "https" if settings.tls_cert else "http"
    return Membership(
        store,
        roster,
        dialing,
        connector,
        copies=copies,
        lost=LostHosts(
            store,
            roster,
            connector.trouble,
            attaching,
            agents,
            Blocklists(store, roster, attaching, clock),
            settings.fence_after,
            doubt=certainty.doubt,
        ),
        beside=[] if source is None else _sentinels(settings, lambda: database.term.mine, gives_way),
        join_oneself=join_oneself if settings.standby else None,
        own=own,
        urls=lambda: urls(scheme, settings.address),
        leaving=attaching.leaving,
        given=given,
        renamed=renamed,
        clock=clock,
    )


class GivesWay:
    """What this server does when it hears that another one leads in a later term. `machine` is our own uuid.

    `copied`: hosts may keep copies of the database.
    """

    def __init__(self, settings: Settings, database: Database, roster: Roster, *, copied: bool) -> None:
        self._copied = copied
        self._settings = settings
        self._database = database
        self._roster = roster
        self._gives = False
        """It is sure, and is being written down: by two at a time, it might not be."""
        self.machine = str(identity.machine_of(settings.data_dir) or "")

    def hear(self, host: HostId, found: Displaced) -> None:
        """A host reports another leader. For a host with a copy, this database cannot decide; for others, it can."""
        member = self._roster.find(host)
        trusted = self._copied and member is not None and member.keeps_copy
        another = found.leader not in ("", self.machine)
        self.give_way(found, member.name if member is not None and trusted and another else "")

    def give_way(self, found: Displaced, to: str = "a later server") -> None:
        """`to`: see `end_for`."""
        if self._database.lost or self._gives:
            return
        self._gives = bool(to)
        own = self._roster.get(self._roster.own).name
        asyncio.get_running_loop().run_in_executor(None, end_for, self._settings, self._database, own, to, found)


def _learn(certainty: Certainty, store: SqlMembers, roster: Roster, term: int) -> None:
    """Tells `certainty` who could have been promoted instead of this server, and what a person has confirmed."""
    certainty.keepers = lambda: {one.host: one.name for one in roster if one.keeps_copy and not one.own}
    promotion = store.promotion()
    certainty.complete = not promotion.copied
    if promotion.copied:
        at = datetime.fromtimestamp(promotion.copied).astimezone().isoformat(" ", "seconds")
        log.info("this database is the copy of %s by which this host was promoted", at)
    if promotion.term and promotion.term == term - 1:
        certainty.be_sure()


def _sentinels(settings: Settings, term: Callable[[], int], gives_way: GivesWay) -> list[Beside]:
    """If this host was a node: answers those that look for that node."""
    was = identity.former(settings.data_dir)
    if was is None:
        return []
    from velocity.node.sentinel import Sentinel

    return [Sentinel(settings.node_listen, was.shown, term, gives_way.machine, gives_way.give_way)]


def own_host(settings: Settings, own: HostId, driver: Hypervisor, storage: Storage) -> AttachedHost:
    """The host that this server runs on, and drives in its own process."""
    return AttachedHost(
        host=own,
        name=socket.gethostname(),
        hypervisor=driver,
        storage=storage,
        pools=tuple(OfferedPool(pool.mpid, pool.name, pool.is_shared) for pool in settings.media_pools),
        nics={nic.nicid: nic.identifier for nic in settings.nics},
    )
