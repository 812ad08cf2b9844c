"""`velocity doctor`: what this host can do, and how to enable what is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from uuid import UUID

import click

from velocity import sandbox
from velocity.cli import connection, doctor_hosts
from velocity.cli.facts import beside
from velocity.cli.finding import Finding
from velocity.cli.output import as_json, json_option, show_json
from velocity.client import ClientError
from velocity.config import ConfigError, PoolSetting, Settings, load
from velocity.contract.hosts import HostInfo, UnaskedWriter
from velocity.contract.nodes import NodeInfo
from velocity.hypervisor.qemu import (
    confine,
    disk_io,
    facts,
    firmware,
    nat_host,
    nic_filters,
    probe,
    scopes,
    uid_ranges,
    vhost,
)
from velocity.hypervisor.qemu.options import Options, options, out_of_reach
from velocity.hypervisor.qemu.runs import Runs
from velocity.network import fence, taps
from velocity.sizes import size
from velocity.storage.declared import image_uid, rados_of
from velocity.storage.directory import shared_storage
from velocity.storage.directory.direct_io import directory_lacks
from velocity.storage.directory.fullness import lacks
from velocity.storage.directory.identity import Identity
from velocity.storage.directory.places import Places
from velocity.storage.rbd import usable

LOW_DISK = 5 << 30
UNPACKERS = {"xz": "xz-utils (Fedora: xz)", "zstd": "zstd", "gzip": "gzip", "bzip2": "bzip2", "tar": "tar"}
"""Programs that unpack imports, and their packages."""
MARKS = {"ok": ("ok", "green"), "limited": ("limited", "yellow"), "missing": ("missing", "red")}


@click.command()
@click.option("--config", "file", type=click.Path(dir_okay=False, path_type=Path), help="The settings file (TOML).")
@json_option
def doctor(file: Path | None) -> int:
    """Show what this host can do for guests. Exit status 1 if something necessary is missing."""
    try:
        settings = load(file)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    host, nodes = _told(settings)
    unknown = {one.uuid for one in host.unknown_guests} if host else set()
    findings = [
        *examine(settings, unknown),
        *doctor_hosts.node(settings, leads=bool(nodes)),
        *doctor_hosts.hosts(nodes),
        *(() if settings.database else doctor_hosts.copies(nodes)),
        *doctor_hosts.fencing(settings, nodes),
        *(unasked_writers(host.unasked_writers) if host else ()),
    ]
    if as_json():
        show_json(findings)
    else:
        for one in findings:
            word, colour = MARKS[one.verdict]
            click.echo(f"{click.style(word.ljust(8), fg=colour)} {one.what.ljust(13)} {beside(23, one.text)}")
    return int(any(one.verdict == "missing" for one in findings))


def examine(settings: Settings, unknown: Collection[UUID] = ()) -> Iterator[Finding]:
    """Check everything that guests need. `unknown`: the guests that belong to no VM."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    cache = settings.data_dir / "cache"
    cache.mkdir(mode=0o700, exist_ok=True)
    yield from _qemu(settings, cache)
    yield from _firmware()
    total, free = facts.memory_mib("MemTotal"), facts.memory_free_mib()
    yield Finding("memory", "ok" if free > 512 else "limited", f"{free} of {total} MiB free")
    yield from pools(settings)
    yield _past_the_page_cache(settings, cache)
    yield from _network(settings)
    yield from _isolation(settings, unknown)


def _qemu(settings: Settings, cache: Path) -> Iterator[Finding]:
    try:
        qemu = facts.read("qemu-system-x86_64", cache / "qemu.json")
        yield Finding(
            "qemu", "ok", f"QEMU {qemu.version}, machine type {qemu.machine_type}, up to {qemu.max_cpus} CPUs"
        )
        verdict = probe.choose(settings.accelerator, cache / "accelerator.json")
        fast = verdict.kvm == "works"
        yield Finding("accelerator", "ok" if fast else "limited", f"{verdict.accelerator.value}: {verdict.reason}")
    except probe.BrokenHost as error:
        yield Finding("qemu", "missing", f"{error}: install qemu-system-x86 (Fedora: qemu-system-x86-core)")
    if shutil.which("qemu-img") is None:
        yield Finding("qemu-img", "missing", "install qemu-utils (Fedora: qemu-img)")
    lacking = [package for program, package in UNPACKERS.items() if shutil.which(program) is None]
    if lacking:
        yield Finding("unpackers", "limited", f"not all packed images can be imported: install {', '.join(lacking)}")
    if shutil.which("tesseract") is None:
        yield Finding(
            "tesseract", "limited", "text on screens cannot be recognized: install tesseract-ocr (Fedora: tesseract)"
        )


def _firmware() -> Iterator[Finding]:
    try:
        found = firmware.find()
        yield Finding("firmware", "ok", f"build {found.build}: {found.description}")
    except firmware.NoFirmware as error:
        yield Finding("firmware", "missing", str(error))


def pools(settings: Settings) -> Iterator[Finding]:
    """Whether each pool is available, and how much space it has."""
    for pool in settings.media_pools:
        if pool.kind == "rbd":
            yield _rbd(pool)
            continue
        identity = Identity(Places(pool.mpid, pool.name, pool.path, settings.data_dir / "pools"))
        if identity.known() and not identity.fits():
            yield Finding("disk", "limited", f"pool {pool.name!r} is not at {pool.path}: mount its disk there")
            continue
        if pool.shared and (lack := _shared(pool, settings)):
            yield Finding("disk", "limited", f"shared pool {pool.name!r}: {lack}")
            continue
        where = pool.path if pool.path.exists() else settings.data_dir
        if not os.access(where, os.W_OK | os.X_OK):
            yield Finding("disk", "limited", f"pool {pool.name!r} is read-only: remount it, or allow writing")
            continue
        if lack := lacks(where):
            yield Finding("disk", "limited", f"pool {pool.name!r} is full ({lack}): remove media")
            continue
        disk = shutil.disk_usage(where).free
        hint = "" if disk > LOW_DISK else ": not much for media"
        yield Finding("disk", "ok" if disk > LOW_DISK else "limited", f"pool {pool.name!r}: {size(disk)} free{hint}")


def _rbd(pool: PoolSetting) -> Finding:
    rados = rados_of(pool)
    if lack := usable.lacks(rados) or usable.hampers(rados):
        return Finding("disk", "limited", f"pool {pool.name!r} on RBD: {lack}")
    return Finding("disk", "ok", f"pool {pool.name!r}: RADOS pool {rados.name} can be used")


def _shared(pool: PoolSetting, settings: Settings) -> str:
    """Why a shared pool cannot be used on this host."""
    mark = Places(pool.mpid, pool.name, pool.path, settings.data_dir / "pools", shared=True).mark
    if not pool.path.is_dir():
        return f"there is no {pool.path}: mount its storage there"
    if not mark.parent.is_dir():
        on_root = pool.path.stat().st_dev == Path("/").stat().st_dev
        return f"{pool.path} is on this host's root file system: mount its storage there" if on_root else ""
    try:
        return shared_storage.lacks(mark.parent, image_uid(settings))
    except OSError as error:
        return f"this host cannot create files in {mark.parent} ({error.strerror}): permit it where it is exported"


def _past_the_page_cache(settings: Settings, cache: Path) -> Finding:
    """How disks with `cache` none are read and written, and where that is impossible."""
    aio, lacking = disk_io.direct_aio("qemu-system-x86_64", options(settings).uids, cache / "io-uring.json")
    texts = [f"`cache` none is direct I/O by {aio}" + (f", as there is no io_uring: {lacking}" if lacking else "")]
    for pool in settings.media_pools:
        if pool.kind == "rbd":
            continue
        try:
            lacking = directory_lacks(pool.path)
        except OSError:
            continue  # `pools` has reported why
        if lacking:
            texts.append(f"in pool {pool.name!r} it is as writeback: {lacking}")
    limited = len(texts) > 1 or aio != disk_io.IO_URING
    return Finding("disk cache", "limited" if limited else "ok", "; ".join(texts))


def _network(settings: Settings) -> Iterator[Finding]:
    reason = taps.can_connect()
    yield Finding("bridge", "ok" if reason is None else "limited", reason or "NICs can be bridged")
    for nic in settings.nics:
        kind = taps.kind(nic.identifier)
        text = f"{nic.identifier} is {'a Linux bridge (tap)' if kind == 'bridge' else 'an interface (macvtap)'}"
        limited = kind == "absent"
        if limited:
            text = f"{nic.identifier} is declared, but this host has no such NIC: check `ip link`"
        elif limited := kind == "bridge" and taps.accepts_routers(nic.identifier):
            text += (
                ", and the host takes its IPv6 addresses and routes from whoever advertises them there, trusted guests "
                f"among them: unless it needs that, `sysctl net.ipv6.conf.{nic.identifier}.accept_ra=0`"
            )
        yield Finding(f"nic {nic.nicid}", "limited" if limited else "ok", text)
    yield from _nat(options(settings))


def _nat(chosen: Options) -> Iterator[Finding]:
    if chosen.uids is None:
        text = "NAT guests can reach 127.0.0.1 and link-local addresses: run the server as root to prevent that"
    elif fence.holds(chosen.uids):
        text = "NAT guests cannot reach this host's loopback, nor metadata services (nftables, read back)"
    else:
        text = "the packet filter is not active: `velocity serve` sets it, and needs nftables"
    yield Finding("nat", "ok" if text.startswith("NAT guests cannot") else "limited", text)
    for words in uid_ranges.overlaps(chosen.uids, chosen.instance) if chosen.uids is not None else ():
        yield Finding("uid_base", "limited", words)
    nat = nat_host.find(chosen, choose=False)
    if nat.first:
        yield Finding("nat bridge", "ok", "NAT guests get addresses on a bridge, whose network the first start chooses")
        return
    if nat.refuses:
        yield Finding("nat bridge", "limited", f"with these settings, no guest with a NAT NIC can start: {nat.why}")
        return
    if nat.bridge is None or nat.networks is None:
        text = f"NAT guests are in QEMU's user network, which is slower and gives none an address of its own: {nat.why}"
        yield Finding("nat bridge", "limited", text)
        return
    lacks = list(nat_host.problems(nat.bridge))
    text = f"NAT guests get addresses of {' and '.join(nat.networks.words)} on the bridge {nat.bridge.bridge}"
    yield Finding("nat bridge", "limited" if lacks else "ok", "; ".join([text, *nat_host.notes(nat.bridge), *lacks]))
    lack = vhost.missing()
    text = "the kernel itself carries the frames of guests with KVM" if lack is None else lack
    yield Finding("vhost", "limited" if lack else "ok", text)


def _isolation(settings: Settings, unknown: Collection[UUID]) -> Iterator[Finding]:
    """The isolation of each guest's process, read back from /proc."""
    chosen = options(settings)
    if chosen.uids is None:
        yield Finding("isolation", "limited", "guests share your uid: run the server as root to give each its own")
    elif why := sandbox.missing():
        yield Finding("isolation", "limited", f"guests get uids of their own, but see this host's files: {why}")
        if chosen.runtime_dir.is_dir() and (closed := out_of_reach(chosen)):
            yield Finding("runtime_dir", "missing", closed)
    else:
        text = f"each guest gets its own uid, starting at {chosen.uids.start}, and namespaces in which it sees /usr"
        yield Finding("isolation", "ok", text)
    if why := scopes.lacking():
        yield Finding("bounds", "limited", f"the memory of guests' processes is not limited: {why}")
    else:
        yield Finding("bounds", "ok", "systemd limits each guest's process: memory, threads, CPU share")
    for program in ("setpriv", "prlimit"):
        if shutil.which(program) is None:
            yield Finding(program, "missing", "install util-linux")
    runs = Runs(chosen.runtime_dir, chosen.instance, chosen.uids, former=chosen.guests_in)
    bridge = nat_host.find(chosen, choose=False).bridge
    for run in runs.all() if (chosen.runtime_dir / chosen.instance).is_dir() else ():
        pid = runs.process(run)
        if pid is None:
            continue
        reaches = run.nat and not (chosen.uids is not None and fence.holds(chosen.uids))
        shut, unfiltered = nic_filters.looked_at(run, bridge)
        holds = confine.read_back(
            confine.status(pid),
            server_uid=os.geteuid(),
            nat=run.nat,
            nat_reaches_loopback=reaches or not shut,
            unfiltered_nics=unfiltered,
        )
        text = f"uid {holds.uid}, capabilities {holds.bounding_set}, seccomp {'on' if holds.seccomp else 'off'}"
        text += f", namespaces {' '.join(holds.namespaces) or 'none'}, oom_score_adj {holds.oom_score_adj}"
        text += f", memory {_most(holds.memory_limit, ' MiB')}, threads {_most(holds.thread_limit)}"
        gaps = list(holds.gaps)
        if run.machine in unknown:
            gaps.append(f"belongs to no VM, as after restoring an older database: `kill {pid}` ends it")
        yield Finding(f"guest {str(run.machine)[:8]}", "limited" if gaps else "ok", "; ".join([text, *gaps]))


def _most(bound: int | None, unit: str = "") -> str:
    return "not limited" if bound is None else f"at most {bound}{unit}"


def unasked_writers(told: Sequence[UnaskedWriter]) -> Iterator[Finding]:
    """The media of other groups that VMs may write to although no permission was checked."""
    for one in told:
        text = (
            f"VM {one.vmid} may write to medium {one.mid} of another group: an older version attached it without "
            "asking for a permission; detach it, or attach it read-only (`velocity vm set --media`)"
        )
        yield Finding("media", "limited", text)


def _told(settings: Settings) -> tuple[HostInfo | None, list[NodeInfo]]:
    """What the server reports of its hosts, if one runs here and responds."""
    try:
        client = connection.connect(own=settings)
        return client.show_host(), client.list_nodes().nodes
    except (ClientError, click.ClickException):
        return None, []
