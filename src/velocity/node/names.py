"""The names of controllers and nodes in their certificates. The suffix is not in DNS (RFC 6761)."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

CONTROLLER = "controller.velocity"
"""The name of every controller."""


def node_name(host: UUID, serial: int) -> str:
    """Contains the certificate's serial number, so that no other certificate of the same node is accepted."""
    return f"{serial:x}.{host}.node.velocity"


@dataclass(frozen=True, repr=False)
class Identity:
    """A certificate with its key and authority, as PEM. `repr` does not show the key, as it could get into a log."""

    certificate: bytes
    key: bytes
    authority: bytes
