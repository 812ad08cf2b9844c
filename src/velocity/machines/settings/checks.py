"""Checks the settings that are asked for a VM against what exists, what its host can do, and what the caller may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import UUID

from velocity.access.directory import Directory
from velocity.access.naming import visible_name
from velocity.access.sessions import Caller
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import HostId, Hosts
from velocity.machines import rules
from velocity.machines.placement.reach import Reach
from velocity.machines.rules import Machine, Spec
from velocity.machines.settings import boot, disks, forwards, interfaces
from velocity.machines.settings.forwards import AllowedPorts
from velocity.machines.settings.writers import Writers
from velocity.media.library import Library
from velocity.media.rules import boot_warnings
from velocity.media.sources import Sources


class Checks:
    """`takes`: the bytes that a medium last used on disk. `ports`: the host ports that may be forwarded."""

    def __init__(
        self,
        directory: Directory,
        library: Library,
        writers: Writers,
        sources: Sources,
        hosts: Hosts,
        reach: Reach,
        takes: Callable[[UUID], int],
        ports: AllowedPorts,
    ) -> None:
        self._directory = directory
        self._library = library
        self._writers = writers
        self._sources = sources
        self._hosts = hosts
        self._reach = reach
        self._takes = takes
        self._ports = ports

    def check_settings(
        self,
        caller: Caller,
        gid: int,
        uuid: UUID,
        spec: Spec,
        host: HostId,
        has: Spec | None = None,
        vmid: int | None = None,
    ) -> tuple[Spec, list[str]]:
        """Check a specification: what it refers to must exist (unless the VM had it before), and its host be able to
        run it.

        Returns it with media read-only if the caller may not write to them, and warnings. Raises `Refused`.
        """
        had = {one.mid for one in has.media} if has else set()
        media = [
            self._library.get(one.mid) if one.mid in had else self._library.visible(caller, gid, one.mid)
            for one in spec.media
        ]
        warnings: list[str] = []
        if has is None or spec.media is not has.media:  # otherwise this request attaches nothing
            spec, warnings = self._writers.attached(caller, gid, spec, has)
            self._check_once(gid, spec)
            warnings += self._sharing(gid, spec, vmid)
        self._reach.check(spec, has, host)
        self._check_trusted(caller, gid, interfaces.trusted(spec, has), "a trusted NIC", "trusted")
        self._check_trusted(caller, gid, interfaces.chosen(uuid, spec, has), "a chosen MAC address on BRIDGE", "mac")
        facts = self._hosts.about(host)
        rules.check_host(spec, has, facts)
        rules.check_maxima(spec, facts)
        rules.check_words(spec)
        if spec.forwards:
            quota = self._directory.quotas.ports_of(self._directory.line(gid))
            forwards.check(spec, has, self._ports.within(quota))
        disks.check(spec, media)
        boot.check(spec)
        names = [visible_name(self._directory, "medium", one.name, one.gid) for one in media]
        warnings += disks.sector_warnings(spec, has, media, names, self._takes)
        return spec, [*warnings, *boot_warnings(media, names, self._takes)]

    def check_trust(self, caller: Caller, gid: int, machine: Machine) -> None:
        """Check a VM that moves to this group unchanged. Raises `Refused`."""
        self._check_trusted(caller, gid, interfaces.trusted(machine.spec, None), "a trusted NIC", "trusted")
        chosen = interfaces.chosen(machine.uuid, machine.spec, None)
        self._check_trusted(caller, gid, chosen, "a chosen MAC address on BRIDGE", "mac")

    def _check_trusted(self, caller: Caller, gid: int, places: list[int], what: str, field: str) -> None:
        if places and not self._directory.holds(caller.uid, Permission.NIC_TRUST, gid):
            there = self._directory.called(caller.uid, gid)
            raise Refused(
                Problem.NO_PERMISSION,
                f"{what} needs {Permission.NIC_TRUST.value} on {there}: ask someone who can assign it there "
                f"(`velocity why`, POST /u/why, lists them), or leave out `{field}`",
                field=f"nics[{places[0]}].{field}",
            )

    def _check_once(self, gid: int, spec: Spec) -> None:
        """A medium that it writes to may be attached only once: QEMU refuses to open it twice."""
        written = {one.mid for one in self._writers.written_by(gid, spec)}
        seen: set[UUID] = set()
        for number, attachment in enumerate(spec.media):
            if attachment.mid in seen & written:
                mine = self._library.visible_name(self._library.get(attachment.mid))
                raise Refused(
                    Problem.MEDIUM_IN_USE,
                    f"{mine} is attached twice, and writable: attach it once",
                    field=f"media[{number}].mid",
                )
            seen.add(attachment.mid)

    def _sharing(self, gid: int, spec: Spec, vmid: int | None) -> Iterator[str]:
        """Warnings about media that keep it and other VMs from running at the same time."""
        written = {one.mid for one in self._writers.written_by(gid, spec)}
        for mid in dict.fromkeys(one.mid for one in spec.media if not self._writers.never(one.mid)):
            if (words := self._sources.sharing(mid, vmid, writes=mid in written)) is not None:
                yield words
