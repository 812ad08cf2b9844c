"""A node's identity: its key, certificate, and the answer to its join, in a file that only its account can read."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID, uuid4

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from velocity import durable
from velocity.node import places
from velocity.node.names import Identity


class NodeIdentity(Struct, frozen=True):
    """The file. Later versions may add fields. Keys and certificates are PEM."""

    uuid: UUID
    host: int
    name: str
    mpid: int
    controllers: list[str]
    key: str
    certificate: str
    authority: str
    serial: str
    begins: int
    expires: int

    def __repr__(self) -> str:
        """Without the key."""
        return f"NodeIdentity({self.uuid}, {self.name!r})"

    @property
    def shown(self) -> Identity:
        return Identity(self.certificate.encode(), self.key.encode(), self.authority.encode())


def read(data_dir: Path) -> NodeIdentity | None:
    """None: this machine has joined no server. Raises `msgspec.MsgspecError`, `OSError`."""
    file = places.identity(data_dir)
    return durable.read(file, NodeIdentity) if file.exists() else None


def former(data_dir: Path) -> NodeIdentity | None:
    """The identity of this machine as a node, before it became the server. Raises as `read` does."""
    file = places.former(data_dir)
    return durable.read(file, NodeIdentity) if file.exists() else None


class Machine(Struct, frozen=True):
    """The file of a server's machine. Later versions may add fields."""

    uuid: UUID


def machine_of(data_dir: Path) -> UUID | None:
    """The UUID of this machine; None: it has been neither a node nor a server.

    Raises `msgspec.MsgspecError`, `OSError`.
    """
    if (joined := read(data_dir)) is not None:
        return joined.uuid
    file = places.machine(data_dir)
    return durable.read(file, Machine).uuid if file.exists() else None


def ensure_machine(data_dir: Path) -> UUID:
    """The UUID of this machine, created if there is none. Raises as `machine_of` does."""
    if (known := machine_of(data_dir)) is not None:
        return known
    made = Machine(uuid4())
    durable.write(places.machine(data_dir), msgspec.json.encode(made))
    return made.uuid


def write(data_dir: Path, identity: NodeIdentity) -> None:
    file = places.identity(data_dir)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    durable.write(file, msgspec.json.encode(identity))


class OwnIdentity:
    """The identity of a running node; a renewed certificate replaces the old one."""

    def __init__(self, data_dir: Path, identity: NodeIdentity) -> None:
        self._data_dir = data_dir
        self._asked = ""
        self.now = identity

    def request(self) -> bytes:
        """A certificate request for a new key, kept until the certificate comes. Blocks: call it in a thread."""
        from velocity.node import certificates  # needed once in months, and takes 12 MiB

        key = certificates.new_key()
        self._asked = key.decode()
        return certificates.request(key)

    def renew(self, certificate: bytes) -> None:
        """Store the certificate for the latest key; the authority's may follow it.

        Raises `ValueError`: it is for another key, or from another authority.
        """
        from velocity.node import certificates

        certificate, authority = certificates.parted(certificate, self.now.shown.authority)
        begins, expires = certificates.validity(certificate)
        serial = f"{certificates.serial_of(certificate):x}"
        renewed = replace(
            self.now,
            key=self._asked,
            certificate=certificate.decode("ascii"),
            authority=authority.decode("ascii"),
            serial=serial,
            begins=begins,
            expires=expires,
        )
        certificates.check(renewed.shown)
        write(self._data_dir, renewed)
        self.now, self._asked = renewed, ""
