"""A node's identity: key, certificate, and what it learnt when it joined, in a file that only its account can read."""

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
    """The file. A later version may add to it. Keys and certificates are PEM."""

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
        """Without its key."""
        return f"NodeIdentity({self.uuid}, {self.name!r})"

    @property
    def shown(self) -> Identity:
        return Identity(self.certificate.encode(), self.key.encode(), self.authority.encode())


def read(data_dir: Path) -> NodeIdentity | None:
    """None: this machine has joined no server. Raises `msgspec.MsgspecError`, `OSError`."""
    file = places.identity(data_dir)
    return durable.read(file, NodeIdentity) if file.exists() else None


def former(data_dir: Path) -> NodeIdentity | None:
    """Who this machine was as a node before it became the server. Raises as `read` does."""
    file = places.former(data_dir)
    return durable.read(file, NodeIdentity) if file.exists() else None


class Machine(Struct, frozen=True):
    """The file of a server's machine. A later version may add to it."""

    uuid: UUID


def machine_of(data_dir: Path) -> UUID | None:
    """Who this machine is; None: it has been neither a node nor a server. Raises `msgspec.MsgspecError`, `OSError`."""
    if (joined := read(data_dir)) is not None:
        return joined.uuid
    file = places.machine(data_dir)
    return durable.read(file, Machine).uuid if file.exists() else None


def ensure_machine(data_dir: Path) -> UUID:
    """Who this machine is from now on, if it was nobody yet. Raises as `machine_of` does."""
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
    """The one of a node that runs; a new certificate takes the place of the old."""

    def __init__(self, data_dir: Path, identity: NodeIdentity) -> None:
        self._data_dir = data_dir
        self._asked = ""
        self.now = identity

    def request(self) -> bytes:
        """A request for a certificate of a new key, which waits for it. To be called in a thread."""
        from velocity.node import certificates  # once in months, and 12 MiB

        key = certificates.new_key()
        self._asked = key.decode()
        return certificates.request(key)

    def renew(self, certificate: bytes) -> None:
        """Raises `ValueError` where it is none of the key that was made last, or of another authority."""
        from velocity.node import certificates

        begins, expires = certificates.validity(certificate)
        serial = f"{certificates.serial_of(certificate):x}"
        renewed = replace(
            self.now,
            key=self._asked,
            certificate=certificate.decode("ascii"),
            serial=serial,
            begins=begins,
            expires=expires,
        )
        certificates.check(renewed.shown)
        write(self._data_dir, renewed)
        self.now, self._asked = renewed, ""
