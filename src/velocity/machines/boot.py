"""The boot order of a VM: pure functions over specifications."""

from __future__ import annotations

from velocity.contract.machines import Attachment, Nic
from velocity.contract.problems import Problem, Refused
from velocity.machines.rules import Spec


def place(one: Attachment | Nic) -> int:
    """As a hypervisor takes it."""
    return one.boot if isinstance(one.boot, int) else 0


def check(spec: Spec) -> None:
    """Refuse one place for two."""
    had: dict[int, str] = {}
    named = [(f"media[{number}].boot", place(one)) for number, one in enumerate(spec.media)]
    named += [(f"nics[{number}].boot", place(one)) for number, one in enumerate(spec.nics)]
    for name, boots in named:
        if boots and (other := had.setdefault(boots, name)) != name:
            raise Refused(
                Problem.MALFORMED,
                f"{name}: {other} has the place {boots} in the boot order already: give each another",
                field=name,
            )
