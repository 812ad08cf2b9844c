"""Which of QEMU's CPU models this host can give.

https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html#qapidoc-query-cpu-definitions
"""

from __future__ import annotations

from pathlib import Path

from velocity.hypervisor.qemu import cached, probe
from velocity.hypervisor.qemu.facts import ask
from velocity.hypervisor.qemu.probe import Accelerator

NO_MODELS = frozenset({"base", "host", "max"})
NOT_64_BIT = frozenset({"486", "athlon", "coreduo", "kvm32", "n270", "pentium", "pentium2", "pentium3", "qemu32"})
"""The firmware could not run on them."""
SHOWN = 4
"""Features that are named of those that a host lacks."""


def read(binary: str, accelerator: Accelerator, cache: Path) -> dict[str, str]:
    """Name -> what this host lacks of it, in words. Asked again when QEMU, or with KVM the host, may be another.

    Raises `BrokenHost`.
    """
    key = {**cached.program_key(binary), "accelerator": accelerator.value}
    if accelerator is Accelerator.KVM:
        key |= probe.kernel_key(Path("/dev/kvm"))
    models = cached.load(cache, key, dict[str, str])
    if models is None:
        answers, _ = ask(binary, "query-cpu-definitions", options=("-accel", accelerator.value))
        found = {one["name"]: one.get("unavailable-features", []) for one in answers.get("query-cpu-definitions", ())}
        models = {name: _words(lacks) for name, lacks in sorted(found.items()) if _fits(name, found)}
        cached.store(cache, key, models)
    return models


def _fits(name: str, found: dict[str, list[str]]) -> bool:
    """Not the first version of a model that has no other: it is known by the model's name."""
    plain, _, version = name.rpartition("-v")
    only = version == "1" and plain in found and f"{plain}-v2" not in found
    return plain not in NOT_64_BIT and name not in NO_MODELS | NOT_64_BIT and not only


def _words(lacks: list[str]) -> str:
    more = f" and {len(lacks) - SHOWN} more" if len(lacks) > SHOWN else ""
    return ", ".join(lacks[:SHOWN]) + more
