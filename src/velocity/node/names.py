"""The names of controllers and nodes in their certificates. RFC 6761 has no such suffix."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

CONTROLLER = "controller.velocity"
"""The name of whoever may lead."""


def node_name(host: UUID, serial: int) -> str:
    """It bears the certificate's own number: who expects that one believes no other of the same node."""
    return f"{serial:x}.{host}.node.velocity"


@dataclass(frozen=True, repr=False)
class Identity:
    """A certificate with its key and who signed it, as PEM. The key is not shown: `repr` would be a way into a log."""

    certificate: bytes
    key: bytes
    authority: bytes
