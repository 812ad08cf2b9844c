"""What may be left of nothing: files, processes, run directories, uids, links, and machines that nobody shows."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.crash.memory import machines
from tests.crash.model import State
from tests.crash.server import POOL, Server


def orphans(server: Server, seen: State, kept: Sequence[State]) -> list[str]:
    """What should not be there, or is missing; `kept` are the models, which know what lies in the trash."""
    found = list(_files(server, seen, kept))
    found += [f"process {pid} of a server that is gone: {words[:120]}" for pid, words in server.children().items()]
    known, discarded = _machines(server)
    running = {uuid for uuid, vmid in known.items() if _state(seen, vmid) != "STOPPED"}
    if not server.qemu:
        found += _unlike("machines that run", {str(one) for one in machines(server.machines)}, running)
        return found
    guests = server.guests()
    found += _unlike("QEMU processes", set(guests.values()), running)
    found += [f"two QEMUs of {one}" for one in set(guests.values()) if [*guests.values()].count(one) > 1]
    found += _unlike("run directories", {one.name for one in server.runs.glob("*/*")}, running)
    found += [f"QEMU {pid} has {file} open" for pid in guests for file in _misplaced(server, pid)]
    found += _plugged(server, guests, {vm["id"]: vm for vm in seen["vms"].values()}, known)
    stale = {one.name for one in (server.data / "machines").glob("*")} - known.keys() - discarded
    if not known and not discarded:  # it may be the wrong database: nothing is removed before there is a VM again
        stale = set()
    found += [f"machines/{one} of no VM" for one in sorted(stale)]
    return [*found, *(_as_root(server, guests, running, seen) if os.geteuid() == 0 else ())]


def _misplaced(server: Server, pid: int) -> Iterator[str]:
    """Disks that it has open and that are none: what a guest writes there is lost."""
    for file in _disks(server, pid):
        if not (file.parent in server.pools.values() and file.exists()):
            yield str(file)


def _plugged(
    server: Server, guests: dict[int, str], vms: dict[int, dict[str, Any]], known: dict[str, int]
) -> Iterator[str]:
    """Of what comes and goes while they run: disks that they have open, ports of the host that lead to them."""
    listening = _said("ss", "-Hltnp").split("\n")
    for pid, machine in guests.items():
        vm = vms.get(known.get(machine, 0))
        if vm is None or vm["waiting"]:
            continue
        ports = {line.split()[3].rpartition(":")[2] for line in listening if f"pid={pid}," in line}
        yield from _unlike(f"ports of QEMU {pid}", ports, set(map(str, vm["forwards"])))
        yield from _unlike(f"disks of QEMU {pid}", {file.stem for file in _disks(server, pid)}, set(vm["media"]))


def _disks(server: Server, pid: int) -> Iterator[Path]:
    """The files in the pools that it has open."""
    for link in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            file = link.readlink()
            if any(file.is_relative_to(pool) for pool in server.pools.values()):
                yield file


def _files(server: Server, seen: State, kept: Sequence[State]) -> Iterator[str]:
    trashed = [one for state in kept for item in state["trash"].values() for one in _media(item)]
    for directory, wanted in ((".", [*seen["media"].values()]), (".moving", []), (".trash", trashed)):
        for mpid, pool in server.pools.items():
            there = {file.stem for file in (pool / directory).iterdir() if file.is_file()}
            ours = {one["id"] for one in wanted if one.get("mpid", POOL) == mpid}
            yield from _unlike(f"files in {directory} of pool {mpid}", there, ours)


def _media(item: dict[str, Any]) -> list[dict[str, Any]]:
    return list(item["_contents"].get("media", {}).values())


def _unlike(what: str, there: set[str], wanted: set[str]) -> list[str]:
    return [f"{what}: {one} of nothing" for one in sorted(there - wanted)] + [
        f"{what}: {one} is missing" for one in sorted(wanted - there)
    ]


def _machines(server: Server) -> tuple[dict[str, int], set[str]]:
    """uuid -> vmid of the VMs, and the uuids in the trash, as the database has them."""
    url = sa.make_url(server.database or f"sqlite:///{server.data}/velocity.db")
    if url.get_backend_name() == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        known = {row.uuid: row.vmid for row in connection.execute(sa.text("select uuid, vmid from machines"))}
        trashed = [json.loads(row.rows) for row in connection.execute(sa.text("select rows from trash"))]
    engine.dispose()
    return known, {row["uuid"] for rows in trashed for row in rows.get("machines", ())}


def _state(seen: State, vmid: int) -> str:
    return next((str(vm["state"]) for vm in seen["vms"].values() if vm["id"] == vmid), "STOPPED")


def _as_root(server: Server, guests: dict[int, str], running: set[str], seen: State) -> Iterator[str]:
    claims = {claim.readlink().name: int(claim.name) for claim in server.claims()}
    yield from _unlike("claims of uids", set(claims), running)
    if len(server.claims()) != len(claims):
        yield "several uids are claimed for one machine"
    for pid, machine in guests.items():
        process = Path(f"/proc/{pid}")
        if process.exists() and process.stat().st_uid != claims.get(machine):
            yield f"QEMU {pid} has the uid {process.stat().st_uid}, and {claims.get(machine)} is claimed"
    tables = _said("nft", "list", "tables").split("\n")
    if tables.count(f"table inet velocity_{server.uid_base}") != 1:
        yield "the fence does not stand"
    if server.bridge:
        links = [one["ifname"] for one in json.loads(_said("ip", "-j", "link")) if one["ifname"].startswith("vt")]
        bridged = sum(vm["nics"].count("BRIDGE") for vm in seen["vms"].values() if vm["state"] != "STOPPED")
        if len(links) != bridged:
            yield f"links {links} of {bridged} NICs of machines that run"
        listed = [one.get("chain", {}) for one in json.loads(_said("nft", "-j", "list", "chains"))["nftables"]]
        filters = [chain["name"] for chain in listed if chain.get("family") == "netdev"]
        if sorted(filters) != sorted(links):
            yield f"packet filters {filters} of the links {links}"


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
