"""What is stored of hosts, and the connections to those on other machines."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from velocity.hosts.port import Duty, OfferedPool
from velocity.hypervisor.port import HostFacts, HostId, Hypervisor, Incarnation, Usage
from velocity.storage.port import Storage, Value

API = 2
"""The version of the calls between a controller and a node. A later one only adds fields with defaults, and calls."""
OLDEST = 1
"""The oldest version that this one works with: the one before."""
OWN_NAME = "this host"
"""How the server's own host is called in the database until it is given a name."""


class Hello(Value, frozen=True):
    """What a node tells of itself. The certificate's times are in unix seconds, its serial in hexadecimal digits.

    `now` is its time, in unix seconds, and `uid_base` the first uid of its guests; 0: it is too old to tell.
    """

    api: int
    uuid: UUID
    version: str
    hostname: str
    facts: HostFacts
    pools: tuple[OfferedPool, ...]
    nics: dict[int, str]
    serial: str
    certificate_begins: int
    certificate_expires: int
    now: float = 0.0
    uid_base: int = 0


class CopyMark(Value, frozen=True):
    """Where a database is: the term of its server, and the number of the last transaction that was written."""

    term: int
    written: int


class CopyPiece(Value, frozen=True):
    """A piece of a copy of the database, and what all of it is: as of the unix time `at`, with that SHA-256."""

    mark: CopyMark
    at: int
    size: int
    digest: str
    offset: int
    data: bytes


class NodeCalls(Protocol):
    """What a controller asks of the node itself, beside its ports."""

    async def hello(self, api: int, *, deadline: float) -> Hello:
        """`api`: the controller's version."""

    async def request(self, *, deadline: float) -> bytes:
        """Make a new key, and ask for its certificate (PKCS #10, PEM)."""

    async def renew(self, certificate: bytes, *, deadline: float) -> None:
        """Go on with that certificate of the key that was made last, also after a restart.

        That of the authority follows it.
        """

    async def take_copy(self, piece: CopyPiece, *, deadline: float) -> None:
        """Keep a piece of a copy, in their order; with the last one it is the newest, and durable."""

    async def confirm_copy(self, mark: CopyMark, at: int, *, deadline: float) -> bool:
        """Whether the newest copy is that one, and so as good at the unix time `at`."""

    async def drop_copies(self, *, deadline: float) -> None:
        """Keep none any more."""

    async def measure(self, whos: tuple[Incarnation, ...], *, deadline: float) -> tuple[Usage | None, ...]:
        """What each of these machines takes, in this order; None: it was not measured in that time, or does not run."""


class Known(Struct, frozen=True):
    """What a host told last, as it is kept."""

    version: str
    hostname: str
    facts: HostFacts
    pools: tuple[OfferedPool, ...]
    nics: dict[int, str]
    certificate_expires: int
    api: int = OLDEST
    uid_base: int = 0

    @classmethod
    def of(cls, hello: Hello) -> Known:
        return cls(
            hello.version,
            hello.hostname,
            hello.facts,
            hello.pools,
            hello.nics,
            hello.certificate_expires,
            hello.api,
            hello.uid_base,
        )


class Fence(Struct, frozen=True):
    """How a host is powered off: by which agent, with which options, of which some are secret."""

    agent: str
    options: dict[str, str]

    def __repr__(self) -> str:
        return f"Fence({self.agent!r})"


@dataclass(frozen=True)
class Member:
    """A host. `uuid` is its machine's, `own`: the server runs on it. `keeps_copy`: of the database.

    `serial` is that of its certificate, in hexadecimal digits; `renewing` that of a new one which it may have already.
    `mpid` is the number of its pool where its settings declare none. `heard`: when it was heard last, when it was lost.
    `clients`: by which addresses pools with a blocklist have known it, the last first.
    """

    host: HostId
    name: str
    uuid: UUID | None = None
    address: str = ""
    serial: str = ""
    renewing: str = ""
    mpid: int = 0
    duty: Duty = Duty.ACTIVE
    labels: Mapping[str, str] = field(default_factory=dict)
    joined: int = 0
    heard: int = 0
    known: Known | None = None
    own: bool = False
    keeps_copy: bool = False
    fence: Fence | None = None
    clients: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    @property
    def called(self) -> str:
        """Its name; of a first host that was given none, its machine's."""
        return self.known.hostname if self.name == OWN_NAME and self.known is not None else self.name


@dataclass(frozen=True)
class JoinToken:
    """`key` proves (`contract.joining`); `host`: the one that it is for; `used_by` with the `proof` of its use."""

    name: str
    key: bytes
    expires: int
    host: HostId | None = None
    used_by: HostId | None = None
    proof: str = ""


@dataclass(frozen=True, repr=False)
class Sealed:
    """The installation's authority, as PEM. The key is not shown: `repr` would be a way into a log."""

    certificate: str
    key: str


@dataclass(frozen=True)
class Signed:
    """A certificate (PEM) and its serial number, in hexadecimal digits."""

    certificate: str
    serial: str


class MemberRows(Protocol):
    """All that is kept."""

    @property
    def members(self) -> Sequence[Member]: ...

    @property
    def tokens(self) -> Sequence[JoinToken]: ...

    @property
    def authority(self) -> Sealed | None: ...

    @property
    def last(self) -> int:
        """The greatest id that a host has had: none is given twice."""

    @property
    def last_pool(self) -> int:
        """The greatest number that a pool of a host was given, or that media are in."""


class MemberStore(Protocol):
    """Each call is one transaction; what returns is durable."""

    def load(self) -> MemberRows: ...

    async def add_token(self, token: JoinToken, authority: Sealed, now: int) -> None:
        """Keep it, and the authority if there was none; tokens that expired before now are forgotten."""

    async def renew_authority(self, authority: Sealed) -> None:
        """Its certificate is another one. No change of a request."""

    async def introduce(self, member: Member, authority: Sealed) -> None:
        """Keep the server's own host as one that has joined, and the authority if there was none."""

    async def join(self, member: Member, token: JoinToken) -> None:
        """Keep both as they are now: a new host, or one that is known."""

    async def keep(self, member: Member) -> None:
        """As a user changed it: name, address, duty and labels."""

    async def keep_fence(self, member: Member) -> None:
        """How it is fenced, and nothing else of it."""

    async def note_clients(self, member: Member) -> None:
        """The addresses by which pools know it, and nothing else of it. No change of a request."""

    async def note(self, member: Member) -> None:
        """What is learnt of it: when it was heard, what it told, its certificate. No change of a request."""

    async def remove(self, host: HostId, pools: Collection[int]) -> tuple[int, int]:
        """How many VMs it has, and media are in these pools; where there are none of both, it is gone."""

    async def holds(self, host: HostId, pools: Collection[int]) -> tuple[int, int]:
        """The same, and nothing is changed."""

    async def count(self) -> Mapping[int, int]:
        """The VMs of each host."""


class Link(Protocol):
    """The way to one node, whatever becomes of its connection."""

    @property
    def node(self) -> NodeCalls: ...

    @property
    def hypervisor(self) -> Hypervisor: ...

    @property
    def storage(self) -> Storage: ...

    async def redirect(self, address: str, serial: str) -> None:
        """From here on it is there, and has that certificate."""

    async def close(self) -> None: ...


class Dialing(Protocol):
    """What needs certificates and connections."""

    def new_authority(self) -> Sealed: ...

    def renewed(self, authority: Sealed) -> Sealed:
        """The same for longer, when it is due; nobody has to join again."""

    def fingerprint(self, authority: Sealed) -> str:
        """SHA-256 of its certificate, in hexadecimal digits."""

    def sign(self, authority: Sealed, request: str, uuid: UUID) -> Signed:
        """A certificate for a node. Raises `Refused(NOT_A_CERTIFICATE_REQUEST)`."""

    def dial(self, member: Member, authority: Sealed, known: HostFacts) -> Link:
        """A way to a node that has joined. Nothing is sent yet."""
