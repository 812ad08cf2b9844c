"""Wires all parts of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

from starlette.types import ASGIApp

from velocity.access.bounds import Bounds
from velocity.access.directory import Directory
from velocity.access.passwords import Passwords
from velocity.access.service import Access
from velocity.access.updates import DirectoryWriter
from velocity.api.edge import application
from velocity.api.handlers.base import Services
from velocity.api.request_counts import RequestCounts
from velocity.api.tls import Certificate
from velocity.api.turns import Turns
from velocity.changes import Changes
from velocity.config import Settings
from velocity.contract.operation import On
from velocity.controller import membership as hosts_of
from velocity.controller import own_host as attached_own
from velocity.events.areas import Areas
from velocity.events.limits import StreamLimits
from velocity.events.service import Events
from velocity.fetching.port import Source
from velocity.fetching.source import HttpSource
from velocity.history.service import History
from velocity.hosts.attaching import AttachedAreas
from velocity.hosts.certainty import Certainty
from velocity.hosts.port import AttachedHost, Attaching
from velocity.hosts.shared_pools import storage_of_all
from velocity.hypervisor.attached import AttachedHosts
from velocity.hypervisor.port import Hypervisor, HypervisorFactory
from velocity.hypervisor.routed import routed as routed_driver
from velocity.idempotency.service import Idempotency
from velocity.installation import CannotStart as CannotStart
from velocity.installation import InUse as InUse
from velocity.installation import check_first, check_leads, database_of, leadership, open_database, own_host
from velocity.local_key import local_key
from velocity.machines.changes.cloning import Cloning, made
from velocity.machines.changes.group_moves import GroupMoves
from velocity.machines.changes.mirroring import Mirroring
from velocity.machines.changes.provisioning import Provisioning
from velocity.machines.changes.resizing import Resizing
from velocity.machines.consoles.consoles import VmConsoles
from velocity.machines.consoles.ocr import Ocr
from velocity.machines.consoles.screens import VmScreens
from velocity.machines.guest.addresses import Addresses
from velocity.machines.guest.guests import VmGuests
from velocity.machines.hosts.evacuated import Evacuated
from velocity.machines.move.wiring import arriving, host_moves
from velocity.machines.placement.host_memory import HostMemory
from velocity.machines.placement.reach import Reach
from velocity.machines.port import MachineStore
from velocity.machines.rules import Machine
from velocity.machines.service import Fleet
from velocity.machines.settings.builder import Builder
from velocity.machines.settings.checks import Checks
from velocity.machines.settings.forwards import AllowedPorts
from velocity.machines.settings.writers import Writers
from velocity.media.alteration import Alteration
from velocity.media.assignments import Assignments
from velocity.media.attachments import Attachments
from velocity.media.catalogue import load as load_images
from velocity.media.conversions import Conversions
from velocity.media.creation import Creation
from velocity.media.deletion import Deletion
from velocity.media.fetching import Fetching
from velocity.media.library import Library
from velocity.media.loading import known_objects
from velocity.media.loading import load as load_media
from velocity.media.pools import Pools
from velocity.media.quotas import PoolQuotas
from velocity.media.relocation import Relocation
from velocity.media.reservations import Reservations
from velocity.media.restoration import Restoration
from velocity.media.resumable import Resumables
from velocity.media.room import Room
from velocity.media.rules import Pool
from velocity.media.signatures import Signatures
from velocity.media.sources import Sources
from velocity.media.states import PoolStates
from velocity.media.under_way import UploadsUnderWay
from velocity.media.usage import DiskUsage
from velocity.metrics.files import MetricsFiles
from velocity.metrics.host import Host
from velocity.metrics.loop import Lag
from velocity.metrics.service import Metrics, Times
from velocity.steady_clock import SteadyClock
from velocity.storage.declared import directories as directories
from velocity.storage.declared import image_uid, of_host
from velocity.storage.port import Storage
from velocity.store.access import SqlAccess
from velocity.store.database import Database
from velocity.store.evacuations import SqlLosses
from velocity.store.history import SqlHistory
from velocity.store.host_moves import SqlMoves
from velocity.store.idempotency import SqlIdempotency
from velocity.store.leadership import FileLock
from velocity.store.machines import SqlMachines
from velocity.store.media import SqlMedia
from velocity.store.purged import SqlPurged
from velocity.store.tasks import SqlTasks
from velocity.store.trash import SqlTrash
from velocity.store.uploads import SqlUploads
from velocity.store.variables import SqlVariables
from velocity.tasks.rules import DRAIN
from velocity.tasks.service import Tasks
from velocity.trash.emptying import Emptying
from velocity.trash.purging import Purging
from velocity.trash.service import Trash


@dataclass
class App:
    """A server without its sockets. `hypervisor` and `storage` are its own host's; `hosts` attaches others.

    `root_password` and `welcome`, the secret of the first sign-in link, are made at the first start, and shown once.
    """

    asgi: ASGIApp
    services: Services
    hypervisor: Hypervisor
    storage: Storage
    hosts: AttachedAreas
    database: Database
    lock: FileLock
    root_password: str | None
    welcome: str | None

    async def settle(self) -> None:
        """Return when nothing is under way: no task, request or fact of a VM, no pending write or event."""
        await self.services.tasks.settle()
        await self.services.fleet.settle()
        await self.services.history.settle()
        await self.services.events.settle()

    async def close(self) -> int:
        """Close everything, even if closing a part fails. Returns how many guests run; they keep running."""
        services, running = self.services, 0

        async def close_fleet() -> None:
            nonlocal running
            running = await services.fleet.close()

        closes: tuple[Callable[[], Awaitable[None]], ...] = (
            services.screens.close, services.metrics.close, services.addresses.close, services.events.close,
            services.purging.close, services.resumables.close, services.alteration.close, services.tasks.close,
            services.host_moves.settling.close, close_fleet, services.membership.close, self.hosts.close,
            services.history.close, self.database.close,
        )  # fmt: skip
        async with AsyncExitStack() as parts:
            parts.callback(self.lock.close)
            for close in reversed(closes):
                parts.push_async_callback(close)
        return running


StorageFactory = Callable[[Settings], Storage]


async def build(
    settings: Settings,
    hypervisor: HypervisorFactory,
    *,
    passwords: Passwords | None = None,
    times: Times | None = None,
    stream_limits: StreamLimits | None = None,
    machines: Callable[[Database], MachineStore] = SqlMachines,
    storage: StorageFactory = directories,
    source: Source | None = None,
    certificate: Certificate | None = None,
    attach: Callable[[Database, Attaching], Awaitable[None]] | None = None,
) -> App:
    """Open the data directory and build a server on it. Raises `CannotStart`.

    `certificate` is the server's own. `attach` adds the other known hosts before their VMs are loaded.
    """
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_leads(settings.data_dir)
    database = database_of(settings)
    lock = leadership(settings)
    stored: Storage | None = None
    try:
        await asyncio.to_thread(open_database, database, partial(check_first, settings))
        own = await asyncio.to_thread(own_host, settings, database)
        settings = of_host(settings, own.mpid, own.name)
        stored = storage(settings)
        driver = await hypervisor(stored.files)
        services, attaching, load = compose(
            settings,
            database,
            attached_own(settings, own.host, driver, stored),
            machines(database),
            passwords or Passwords(),
            times or Times(),
            stream_limits,
            source or HttpSource(settings.fetch_ca),
            certificate,
        )
        if attach is not None:
            await attach(database, attaching)
        root_password = await load()
    except BaseException:
        if stored is not None:
            await stored.close()
        await database.close()
        lock.close()
        raise
    services.purging.open()
    services.history.open()
    services.metrics.open()
    services.addresses.open()
    asgi = application(
        services, body_limit=settings.body_limit, cors_origins=settings.cors_origins, proxies=settings.proxies
    )
    welcome = None if root_password is None else services.access.welcome.make()
    return App(asgi, services, driver, stored, attaching, database, lock, root_password, welcome)


def compose(
    settings: Settings,
    database: Database,
    own: AttachedHost,
    machines: MachineStore,
    passwords: Passwords,
    times: Times,
    stream_limits: StreamLimits | None,
    source: Source,
    certificate: Certificate | None,
) -> tuple[Services, AttachedAreas, Callable[[], Awaitable[str | None]]]:
    """Build all services, each after those that it needs. `own` is the server's own host.

    Returns the services, what attaches other hosts, and a function that loads everything stored.
    """
    # What all areas share
    bounds = Bounds(**{one.name: getattr(settings, one.name) for one in fields(Bounds)})
    changes = Changes()
    directory = Directory(changes)
    updates = DirectoryWriter(directory, changes)
    hosts = AttachedHosts(own)
    certainty = Certainty()
    driver = routed_driver(hosts)
    storage, shared = storage_of_all(hosts, lambda: database.term.mine)
    pools = {pool.mpid: Pool(pool.mpid, pool.name) for pool in settings.media_pools}
    blobs, trash = storage.blobs, storage.trash
    taken = MetricsFiles(settings.data_dir / "metrics")
    steady = SteadyClock(file=settings.data_dir / "clock.json")
    # Media: which exist, whose they are, and the space that they use
    media, stored_uploads, stored_moves = SqlMedia(database), SqlUploads(database), SqlMoves(database)
    library = Library(directory, changes)
    attachments = Attachments(directory, library)
    assignments = Assignments(media, pools, directory, changes)
    quotas = PoolQuotas(pools, directory, changes, assignments)
    uploads = UploadsUnderWay(directory)
    reservations = Reservations(directory, quotas, uploads, most=bounds.group_media)
    states = PoolStates(
        storage.pools, pools, known_objects(media, stored_uploads, library, partial(arriving, stored_moves))
    )
    sources = Sources(library, attachments, states)
    usage = DiskUsage(blobs, states, library)

    async def forget(machine: Machine) -> None:
        """Remove the data outside the database of a VM that is removed permanently."""
        await asyncio.to_thread(taken.remove, machine.uuid)
        await fleet.variables.forget(machine.uuid)
        await fleet.data.remove(machine.uuid)

    purging = Purging(
        SqlTrash(database), directory, updates, quotas, storage.pools, trash, states, forget, steady,
        kept=settings.trash_days * 86_400, bounds=bounds,
    )  # fmt: skip
    room = Room(storage.pools, trash, states, purging.make_room, purging.trim)
    creation = Creation(
        media, blobs, trash, directory, updates, library, assignments, reservations, states, room, usage, uploads
    )
    deletion = Deletion(
        media, trash, updates, library, attachments, assignments, quotas, reservations, states, sources, usage, room
    )
    # Uploads and tasks
    resumables = Resumables(creation, directory, uploads, stored_uploads, steady, own=bounds.user_uploads)
    tasks = Tasks(SqlTasks(database), directory, changes, steady, own=bounds.user_tasks)
    # VMs
    writers = Writers(directory, library, assignments)
    reach = Reach(hosts, library)
    ports = AllowedPorts(settings.forwardable, own=(settings.address[1],))
    checks = Checks(directory, library, writers, sources, driver.hosts, reach, usage.last, ports)
    builder = Builder(directory, library, writers, states, sources, driver.hosts, HostMemory(driver.hosts), reach)
    fleet = Fleet(
        machines, directory, changes, library, attachments, room, builder, driver, hosts,
        Evacuated(SqlLosses(database)), SqlVariables(database), SqlPurged(database), leads=certainty,
        most=bounds.group_vms,
    )  # fmt: skip
    provisioning = Provisioning(machines, directory, updates, fleet, checks, driver, deletion, forget)
    addresses = Addresses(fleet, fleet.addresses, fleet.agents, driver.hosts)
    # Changes and copies of media, which VMs may use meanwhile
    resizing = Resizing(fleet, driver.machines, attachments, library)
    alteration = Alteration(
        media, blobs, library, attachments, assignments, states, sources, reservations, usage,
        provisioning.claim_again, resizing.grow,
    )  # fmt: skip
    conversions = Conversions(
        storage.jobs, directory, library, assignments, states, room, sources, reservations, creation, resumables, tasks
    )
    images = load_images(map(Path, settings.catalogues))
    fetching = Fetching(
        source, images, blobs, directory, assignments, states, room, reservations, creation, conversions, tasks,
        Signatures(image_uid(settings)),
    )  # fmt: skip
    relocation = Relocation(
        media, storage.jobs, blobs, trash, directory, updates, library, attachments, assignments, states, room, sources,
        reservations, conversions, usage, tasks,
        Mirroring(fleet, driver.mirrors, directory, attachments, library, states),
    )  # fmt: skip
    cloning = Cloning(machines, directory, updates, library, fleet, checks, driver, conversions, creation, room, tasks)
    # Users, and the trash, which concern all areas
    access = Access(
        SqlAccess(database), directory, updates, changes, passwords, steady, lifetime=settings.authkey_lifetime,
        owned={
            On.MEDIUM: lambda mid: library.find(mid) or uploads.group_of(mid), On.TASK: tasks.find, On.VM: fleet.find,
        },
        belongings=(provisioning, resumables, deletion, tasks), bounds=bounds,
    )  # fmt: skip
    restoration = Restoration(trash, library, reservations, states, usage, alteration.open)
    trashed = Trash(
        SqlTrash(database), directory, updates, access.groups, assignments, restoration, provisioning, purging
    )
    # Hosts
    attaching = AttachedAreas(hosts, pools, states, fleet, storage, shared, reservations, changes)
    membership = hosts_of(
        settings, database, hosts.own, changes, attaching, certainty, given=fleet.claims.given,
        renamed=partial(tasks.rename, DRAIN),
    )  # fmt: skip
    moves, draining = host_moves(
        stored_moves, directory, fleet, driver, storage, library, attachments, assignments, quotas, reservations,
        sources, states, room, usage, tasks,
    )  # fmt: skip
    # Overviews, history, and the event stream
    overview = Pools(pools, states, directory, assignments, quotas, library, usage)
    host = Host(
        driver.hosts, fleet, overview, settings.data_dir,
        certificate_expires=lambda: certificate.expires if certificate else None, monotonic=times.monotonic,
    )  # fmt: skip
    areas = Areas(directory, pools, library, attachments, assignments, quotas, usage, fleet, tasks)
    history = History(SqlHistory(database), directory, changes, steady, settings.history_days)
    fleet.noted = history.note_own
    turns = Turns()
    database.told.ask = turns.have_others
    services = Services(
        access=access, directory=directory, changes=changes, library=library, attachments=attachments,
        assignments=assignments, quotas=quotas, reservations=reservations, usage=usage, sources=sources, blobs=blobs,
        creation=creation, alteration=alteration, deletion=deletion, fleet=fleet, provisioning=provisioning,
        cloning=cloning, draining=draining, addresses=addresses, tasks=tasks, conversions=conversions, images=images,
        relocation=relocation, fetching=fetching, resumables=resumables, uploads=uploads, purging=purging, turns=turns,
        history=history, host=host, membership=membership,
        pools=overview,
        pool_states=states,
        group_moves=GroupMoves(
            machines, directory, updates, fleet, checks, library, attachments, assignments, reservations, sources
        ),
        host_moves=moves,
        consoles=VmConsoles(driver.consoles, own=bounds.user_tickets, own_open=bounds.user_consoles),
        screens=VmScreens(driver.screens, Ocr(image_uid(settings)), own=bounds.user_pictures),
        guests=VmGuests(fleet.agents, addresses.heard, own=bounds.user_guest_requests),
        trash=trashed,
        emptying=Emptying(SqlTrash(database), directory, trashed, purging, tasks),
        outcome=database.outcome,
        leads=lambda: not database.lost,
        idempotency=Idempotency(SqlIdempotency(database), steady, most=bounds.user_keys),
        metrics=Metrics(fleet, driver.meters, times, host.sample, taken),
        counts=RequestCounts(),
        lag=Lag(),
        events=Events(areas, access.sessions, changes, stream_limits or StreamLimits(own=settings.event_streams)),
        nics=settings.nics,
    )  # fmt: skip

    async def load() -> str | None:
        """Load everything; returns root's password if one was made. Groups precede what they own, and media VMs."""
        password = await access.open(settings.root_password)
        access.sessions.accept_key(local_key(settings.key_file))
        await load_media(media, assignments, library, reservations, states)
        await resumables.load(library)
        await membership.open()
        await fleet.open(moves.settling.open)
        alteration.open()
        await tasks.open(partial(made, library, fleet))
        if fleet.known:  # with no VM at all, it may be the wrong database
            await asyncio.to_thread(taken.remove_all_but, fleet.known)
        return password

    return services, attaching, load
