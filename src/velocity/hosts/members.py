"""What is stored of hosts, and the calls to their nodes."""

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
"""The version of the calls between a controller and a node. Later ones only add calls, and fields with defaults."""
OLDEST = 1
"""The oldest version that this one works with: the one before it."""
DAYS = 365
"""Validity of a node's certificate from when it is made."""
LEFT = DAYS * 86_400 / 3
"""Seconds: it is renewed when no more is left of it."""
OWN_NAME = "this host"
"""The name of the server's own host in the database until it is given one."""


class Hello(Value, frozen=True):
    """What a node reports about itself. Its certificate's times are in Unix seconds, the serial number in hexadecimal.

    `now` is its clock in Unix seconds, `uid_base` the first uid of its guests; both are 0 from an older node.
    `certificate_begins` is sent for servers of the version before, which expect it.
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
    """A state of the database: its server's term, and the number of the last transaction written."""

    term: int
    written: int


class CopyPiece(Value, frozen=True):
    """A piece of a copy of the database. The whole copy is as of the Unix time `at`, with this SHA-256 `digest`."""

    mark: CopyMark
    at: int
    size: int
    digest: str
    offset: int
    data: bytes


class NodeCalls(Protocol):
    """What a controller asks of the node itself, apart from its ports."""

    async def hello(self, api: int, *, deadline: float) -> Hello:
        """`api`: the controller's version."""

    async def request(self, *, deadline: float) -> bytes:
        """Make a new key, and ask for its certificate (PKCS #10, PEM)."""

    async def renew(self, certificate: bytes, *, deadline: float) -> None:
        """Use this certificate for the latest key from now on, also after a restart.

        The authority's certificate follows it in `certificate`.
        """

    async def take_copy(self, piece: CopyPiece, *, deadline: float) -> None:
        """Store the next piece of a copy. With the last piece the copy replaces the one before, and is durable."""

    async def confirm_copy(self, mark: CopyMark, at: int, *, deadline: float) -> bool:
        """Whether the newest copy has this mark. If so, it equals the database as of the Unix time `at`."""

    async def drop_copies(self, *, deadline: float) -> None:
        """Delete all copies."""

    async def measure(self, whos: tuple[Incarnation, ...], *, deadline: float) -> tuple[Usage | None, ...]:
        """What each of these VMs uses, in this order. None: it does not run, or could not be measured in time."""


class Known(Struct, frozen=True):
    """What a host reported last, as stored."""

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
    """How a host is powered off: the fence agent and its options, some of which are secret."""

    agent: str
    options: dict[str, str]

    def __repr__(self) -> str:
        return f"Fence({self.agent!r})"


@dataclass(frozen=True)
class Member:
    """A host. `uuid` is its machine's; `own`: the server runs on it; `keeps_copy`: it keeps a copy of the database.

    `serial` is its certificate's serial number in hexadecimal, `renewing` that of a new certificate that it may have
    taken already. `mpid` is the number of its pool if its settings declare none. `heard`: since when it
    has not answered, in Unix time; 0: it did when it was asked last. `clients`: the addresses by which pools with a
    blocklist have known it, by pool, the latest first.
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
        """Its name. For a first host that was given none, its machine's name."""
        return self.known.hostname if self.name == OWN_NAME and self.known is not None else self.name


TOKEN_LIFETIME = 3600
"""Seconds for which a machine can join with a token."""
CORRECTED = 60
"""Seconds by which a clock may be set back after a token was made."""


@dataclass(frozen=True)
class JoinToken:
    """A token to join with. `key` proves its possession (see `contract.joining`); `host`: the host that it is for, if
    any; `used_by`: the host that joined with it, by the request with this `proof`.
    """

    name: str
    key: bytes
    expires: int
    host: HostId | None = None
    used_by: HostId | None = None
    proof: str = ""

    def holds(self, now: float) -> bool:
        """A token made while the clock was ahead is not valid: it would stay valid for too long.

        A correction of the clock by some seconds does no harm.
        """
        return now < self.expires <= now + TOKEN_LIFETIME + CORRECTED


@dataclass(frozen=True, repr=False)
class Sealed:
    """The installation's certificate authority, as PEM. Its key is left out of `repr`, so that no log shows it."""

    certificate: str
    key: str


class Signed(Struct, frozen=True):
    """A certificate as PEM, and its serial number in hexadecimal."""

    certificate: str
    serial: str


class MemberRows(Protocol):
    """All that is stored of hosts."""

    @property
    def members(self) -> Sequence[Member]: ...

    @property
    def tokens(self) -> Sequence[JoinToken]: ...

    @property
    def authority(self) -> Sealed | None: ...

    @property
    def last(self) -> int:
        """The greatest number that a host has had: none is given twice."""

    @property
    def last_pool(self) -> int:
        """The greatest number that was given to a pool of a host, or that media are in."""


class MemberStore(Protocol):
    """Each call is one transaction, durable when it returns."""

    def load(self) -> MemberRows: ...

    async def add_token(self, token: JoinToken, authority: Sealed, now: int) -> None:
        """Store the token, and the authority if there was none. Expired tokens are removed."""

    async def renew_authority(self, authority: Sealed) -> None:
        """Store its new certificate. Not part of a request's change."""

    async def introduce(self, member: Member, authority: Sealed) -> None:
        """Store the server's own host as one that has joined, and the authority if there was none."""

    async def join(self, member: Member, token: JoinToken) -> None:
        """Store the host, new or known, and the token as used."""

    async def keep(self, member: Member) -> None:
        """Store what users change: name, address, duty, labels, and whether it keeps a copy."""

    async def keep_fence(self, member: Member) -> None:
        """Store how it is fenced, and no other field."""

    async def note_clients(self, member: Member) -> None:
        """Store its addresses in pools, and no other field. Not part of a request's change."""

    async def note(self, member: Member) -> None:
        """Store what it reported, when, and its certificate. Not part of a request's change."""

    async def remove(self, host: HostId, pools: Collection[int]) -> tuple[int, int]:
        """Remove it if it has no VMs and no media are in these pools. Returns how many there are of both."""

    async def holds(self, host: HostId, pools: Collection[int]) -> tuple[int, int]:
        """How many VMs it has, and how many media are in these pools."""

    async def count(self) -> Mapping[int, int]:
        """How many VMs each host has."""


class Link(Protocol):
    """The connection to one node, which may be made again and again."""

    @property
    def node(self) -> NodeCalls: ...

    @property
    def hypervisor(self) -> Hypervisor: ...

    @property
    def storage(self) -> Storage: ...

    async def redirect(self, address: str, serial: str) -> None:
        """From now on the node is at this address, and has the certificate with this serial number."""

    async def close(self) -> None: ...


class Dialing(Protocol):
    """The parts of membership that need certificates and connections."""

    def new_authority(self) -> Sealed: ...

    def renewed(self, authority: Sealed) -> Sealed:
        """The authority, renewed if that is due. Hosts need not join again."""

    def fingerprint(self, authority: Sealed) -> str:
        """SHA-256 of its certificate, in hexadecimal digits."""

    def sign(self, authority: Sealed, request: str, uuid: UUID) -> Signed:
        """A certificate for a node. Raises `Refused(NOT_A_CERTIFICATE_REQUEST)`."""

    def dial(self, member: Member, authority: Sealed, known: HostFacts) -> Link:
        """A connection to a node that has joined. Nothing is sent yet."""


class Connections(Protocol):
    """Stays connected to hosts, and knows their state."""

    async def follow(self, member: Member, authority: Sealed | None) -> None:
        """A host is new or has changed: stay connected to it, if there is an authority."""

    async def let_go(self, host: HostId) -> None: ...

    async def note(self, member: Member) -> None:
        """Store what was learnt of it, if the database takes it; otherwise it is learnt again."""

    def trouble(self, host: HostId) -> str:
        """Why it does not answer; empty: it does."""

    def ahead(self, host: HostId) -> int:
        """Seconds that its clock is ahead of ours, below 0 behind; 0: it is right, or nobody knows."""

    async def close(self) -> None: ...
