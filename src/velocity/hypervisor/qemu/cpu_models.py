"""Which of QEMU's CPU models this host supports.

https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html#qapidoc-query-cpu-definitions
"""

from __future__ import annotations

from pathlib import Path

from velocity.hypervisor.qemu import cached, probe
from velocity.hypervisor.qemu.facts import ask
from velocity.hypervisor.qemu.probe import Accelerator

NO_MODELS = frozenset({"base", "host", "max"})
NOT_64_BIT = frozenset({"486", "athlon", "coreduo", "kvm32", "n270", "pentium", "pentium2", "pentium3", "qemu32"})
"""Models without long mode, which the firmware needs."""
SHOWN = 4
"""How many missing features are named."""


def read(binary: str, accelerator: Accelerator, cache: Path) -> dict[str, str]:
    """Model -> what this host lacks for it, in words. Cached per QEMU and, with KVM, per host. Raises `BrokenHost`."""
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
    """Excludes the first version of a model that has no other: the model's name means the same."""
    plain, _, version = name.rpartition("-v")
    only = version == "1" and plain in found and f"{plain}-v2" not in found
    return plain not in NOT_64_BIT and name not in NO_MODELS | NOT_64_BIT and not only


def _words(lacks: list[str]) -> str:
    more = f" and {len(lacks) - SHOWN} more" if len(lacks) > SHOWN else ""
    return ", ".join(lacks[:SHOWN]) + more
